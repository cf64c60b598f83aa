//! Flow keys.

use super::{
    Address, Port,
    words::{join_halves, split_halves},
};
use crate::{checksum::Sum, hash};

/// The key of one direction of a flow: what a packet of it carries. Aligned for whole words: LLVM joins the loads of two
/// IPv4 addresses, and BPF's stack takes aligned accesses only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Tuple<A> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Source port.
    pub src_port: Port,
    /// Destination port.
    pub dst_port: Port,
}

impl<A: Address> Tuple<A> {
    /// From addresses and what [`Tuple::ports`] gave.
    #[inline(always)]
    #[must_use]
    pub const fn new(src: A, dst: A, ports: u32) -> Self {
        let (src_port, dst_port) = split_halves(ports);
        Self {
            src,
            dst,
            src_port: Port(src_port),
            dst_port: Port(dst_port),
        }
    }

    /// Source and destination port as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> u32 {
        join_halves(self.src_port.0, self.dst_port.0)
    }

    /// The key of the answer to a packet of this key.
    #[inline(always)]
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
        }
    }

    /// A 64-bit hash. Equal seeds give equal hashes on every machine.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, seed: u64) -> u64 {
        let ports = u64::from(self.ports());
        let ((a, b), (c, d)) = (self.src.words(), self.dst.words());
        if A::IS_V6 {
            let sources = hash::mix(hash::mix(seed, a), b);
            hash::finish(hash::mix(hash::mix(hash::mix(sources, c), d), ports))
        } else {
            // Both IPv4 addresses fit one word.
            hash::finish(hash::mix(hash::mix(seed, a | c << 32), ports))
        }
    }

    /// The one's-complement sum of the two addresses.
    #[inline(always)]
    #[must_use]
    pub fn address_sum(&self) -> Sum {
        self.src.sum().add(self.dst.sum())
    }

    /// The one's-complement sum of the two ports.
    #[inline(always)]
    #[must_use]
    pub fn port_sum(&self) -> Sum {
        Sum::ZERO.add_u32(self.ports())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::V4;

    #[test]
    fn the_hash_depends_on_every_field() {
        let base = Tuple {
            src: V4([1, 2, 3, 4]),
            dst: V4([5, 6, 7, 8]),
            src_port: Port::new(1),
            dst_port: Port::new(2),
        };
        let others = [
            Tuple {
                src: V4([1, 2, 3, 5]),
                ..base
            },
            Tuple {
                dst: V4([5, 6, 7, 9]),
                ..base
            },
            Tuple {
                src_port: Port::new(3),
                ..base
            },
            Tuple {
                dst_port: Port::new(3),
                ..base
            },
            base.reversed(),
        ];
        for other in others {
            assert_ne!(base.hash(7), other.hash(7), "{other:?}");
        }
        assert_ne!(base.hash(7), base.hash(8));
    }

    /// Answers of few backends to many source ports: what full NAT fills half of its table with.
    #[test]
    fn answers_spread_over_the_buckets_as_if_by_chance() {
        const BUCKETS: u16 = 1 << 14;
        for seed in [0, 1, 0x1234_5678_9abc_def0] {
            let mut high = vec![0_u32; usize::from(BUCKETS)];
            let mut low = vec![0_u32; usize::from(BUCKETS)];
            for backend in 0..3 {
                for port in 1024..32768 {
                    let key = Tuple {
                        src: V4([10, 1, backend, 2]),
                        dst: V4([10, 1, backend, 1]),
                        src_port: Port::new(8080),
                        dst_port: Port::new(port),
                    };
                    let hash = key.hash(seed);
                    high[hash::high(hash) as usize % usize::from(BUCKETS)] += 1;
                    low[hash::low(hash) as usize % usize::from(BUCKETS)] += 1;
                }
            }
            for counts in [high, low] {
                // Of a random spread the variance is the mean (Poisson).
                let mean = f64::from(3 * (32768 - 1024)) / f64::from(BUCKETS);
                let variance =
                    counts.iter().map(|n| (f64::from(*n) - mean).powi(2)).sum::<f64>() / f64::from(BUCKETS);
                assert!(
                    (0.9..1.1).contains(&(variance / mean)),
                    "seed {seed}: {}",
                    variance / mean
                );
            }
        }
    }
}
