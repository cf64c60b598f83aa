//! The number that a SYN is answered with: all that would have to be remembered of it.
//!
//! A cookie is 28 bits of a keyed hash, three for the size of the client's segments, and one for the minute. The hash
//! covers these, too, and addresses, ports and the client's own initial sequence number.

use crate::{
    address::{Address, Tuple, join},
    hash::low,
    layout::Settings,
    siphash::SipHash,
};

/// Seconds of a period, as a power of two. A cookie is good in its own period and in the next one: for one minute at
/// least, and for two at most.
const PERIOD: u32 = 6;

/// Sizes of segments that a cookie can say, rising: what each client takes is rounded down to one of them. The least that
/// must be taken, that of IPv6, tunnels and DSL, full ones over IPv6 and IPv4, and those of Ethernet's jumbo frames.
const SIZES: [u16; 7] = [536, 1220, 1360, 1400, 1440, 1460, 8960];

const PARITY: u32 = 1;
const SIZE_SHIFT: u32 = 1;
const SIZE: u32 = 0b111 << SIZE_SHIFT;
const HASH: u32 = !(SIZE | PARITY);

/// What a client said in its SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening<A> {
    /// From where to where.
    pub(crate) tuple: Tuple<A>,
    /// Its initial sequence number.
    pub(crate) number: u32,
}

impl<A: Address> Opening<A> {
    /// The number to answer a SYN with that takes segments of `size` bytes; never 0.
    #[inline(always)]
    pub(crate) fn cookie(&self, settings: &Settings, now: u32, size: u16) -> u32 {
        self.bake(settings, period(settings, now), class(size))
    }

    /// The size of segments that a cookie says, if it is one for this SYN and not too old.
    #[inline(always)]
    pub(crate) fn proven(&self, settings: &Settings, now: u32, cookie: u32) -> Option<u16> {
        let period = period(settings, now);
        // Where the last bit is not this period's, it is that of the one before.
        let period = period.wrapping_sub((period ^ cookie) & PARITY);
        let class = (cookie & SIZE) >> SIZE_SHIFT;
        (self.bake(settings, period, class) == cookie).then(|| size(class))
    }

    #[inline(always)]
    fn bake(&self, settings: &Settings, period: u32, class: u32) -> u32 {
        let Tuple { src, dst, .. } = self.tuple;
        let ((a, b), (c, d)) = (src.words(), dst.words());
        let hash = SipHash::new([settings.cookie_key[0].load(), settings.cookie_key[1].load()]);
        let hash = if A::IS_V6 {
            hash.take(a).take(b).take(c).take(d)
        } else {
            // Both IPv4 addresses fit one word.
            hash.take(a | c << 32)
        };
        let hash = hash
            .take(join(self.tuple.ports(), self.number))
            .take(join(period, class))
            .finish();
        low(hash) & HASH | class << SIZE_SHIFT | period & PARITY
    }
}

/// The number of the period, which wraps around with the clock: cookies of the last one before that are lost.
#[inline(always)]
fn period(settings: &Settings, now: u32) -> u32 {
    now.checked_div(settings.second.load()).unwrap_or_default() >> PERIOD
}

/// Which of the sizes, counted from 1, is the largest that is no larger.
#[inline(always)]
fn class(size: u16) -> u32 {
    let [_, larger @ ..] = SIZES;
    larger
        .iter()
        .fold(1, |class, least| class.wrapping_add(u32::from(size >= *least)))
}

/// The size of a class. Added up, since LLVM would make a table of a choice, which the eBPF object has none of.
#[inline(always)]
fn size(class: u32) -> u16 {
    let [first, ..] = SIZES;
    let (size, _, _) = SIZES
        .iter()
        .fold((first, first, 1), |(size, before, number), next| {
            let step = if class >= number {
                next.wrapping_sub(before)
            } else {
                0
            };
            (size.wrapping_add(step), *next, number.wrapping_add(1))
        });
    size
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        address::{Port, V4, V6},
        shared::zeroed,
    };

    const SECOND: u32 = 250;

    fn settings(key: [u64; 2]) -> Box<Settings> {
        let settings = zeroed::<Settings>();
        settings.second.store(SECOND);
        settings.cookie_key[0].store(key[0]);
        settings.cookie_key[1].store(key[1]);
        settings
    }

    fn opening<A: Address>(src: A, dst: A, ports: u32, number: u32) -> Opening<A> {
        Opening {
            tuple: Tuple::new(src, dst, ports),
            number,
        }
    }

    /// Whatever anybody changes, the cookie is good for nothing: but for one guess in 2²⁸, which none of these is.
    fn holds_for_nothing_else<A: Address>(
        settings: &Settings,
        opening: Opening<A>,
        others: [A; 2],
    ) -> Result<(), TestCaseError> {
        let now = 1_000_000;
        let cookie = opening.cookie(settings, now, 1460);
        prop_assert_ne!(cookie, 0);
        prop_assert_eq!(opening.proven(settings, now, cookie), Some(1460));
        let Tuple {
            src,
            dst,
            src_port,
            dst_port,
        } = opening.tuple;
        let tuples = [
            Tuple {
                src: others[0],
                ..opening.tuple
            },
            Tuple {
                dst: others[1],
                ..opening.tuple
            },
            Tuple {
                src_port: Port::new(src_port.number() ^ 1),
                ..opening.tuple
            },
            Tuple {
                dst_port: Port::new(dst_port.number() ^ 1),
                ..opening.tuple
            },
        ];
        for tuple in tuples
            .into_iter()
            .filter(|tuple| (tuple.src, tuple.dst) != (src, dst) || tuple.ports() != opening.tuple.ports())
        {
            prop_assert_eq!(Opening { tuple, ..opening }.proven(settings, now, cookie), None);
        }
        let number = opening.number.wrapping_add(1);
        prop_assert_eq!(Opening { number, ..opening }.proven(settings, now, cookie), None);
        for bit in 0..32 {
            prop_assert_eq!(opening.proven(settings, now, cookie ^ 1 << bit), None);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_cookie_proves_its_own_syn_and_nothing_else(
            key in any::<[u64; 2]>(),
            addresses in any::<[[u64; 2]; 4]>(),
            ports in any::<u32>(),
            number in any::<u32>(),
        ) {
            let settings = settings(key);
            let [src, dst, others @ ..] = addresses.map(V6);
            holds_for_nothing_else(&settings, opening(src, dst, ports, number), others)?;
            let [src, dst, others @ ..] = addresses.map(|[word, _]| V4(low(word).to_ne_bytes()));
            holds_for_nothing_else(&settings, opening(src, dst, ports, number), others)?;
        }

        #[test]
        fn a_cookie_is_good_for_one_minute_and_not_for_more_than_two(
            key in any::<[u64; 2]>(),
            baked in 0_u32..1 << 30,
            seconds in 0_u32..300,
        ) {
            let settings = settings(key);
            let opening = opening(V4([192, 0, 2, 7]), V4([10, 0, 0, 1]), 7, 1);
            let cookie = opening.cookie(&settings, baked, 1460);
            let good = opening.proven(&settings, baked + seconds * SECOND, cookie).is_some();
            prop_assert!(good || seconds > 60, "after {seconds} seconds");
            prop_assert!(!good || seconds < 128, "after {seconds} seconds");
        }

        #[test]
        fn segments_are_never_larger_than_the_client_takes(size in any::<u16>()) {
            let opening = opening(V4([192, 0, 2, 7]), V4([10, 0, 0, 1]), 7, 1);
            let settings = settings([1, 2]);
            let cookie = opening.cookie(&settings, 0, size);
            let said = opening.proven(&settings, 0, cookie);
            let expected = SIZES.into_iter().rev().find(|known| *known <= size);
            prop_assert_eq!(said, Some(expected.unwrap_or(536)));
        }
    }
}
