//! Sums over many bytes of a frame.

use crate::{checksum::Sum, packet::Packet, tables::Tables};

/// The one's-complement sum of `length` bytes from `offset`; `None` beyond the frame or [`MAX_BYTES`].
///
/// Not inlined: it is rarely called, and long.
#[inline(never)]
pub(crate) fn bytes<T: Tables>(packet: &Packet<'_>, tables: &T, offset: usize, length: u16) -> Option<Sum> {
    let zero = tables.settings()?.zero.load() as usize;
    let mut rest = Rest {
        packet,
        tables,
        zero,
        at: offset,
        left: usize::from(length),
        sum: Sum::ZERO,
    };
    for _ in 0..MAX_BYTES / LARGEST {
        if rest.left < LARGEST {
            break;
        }
        rest.take::<LARGEST>()?;
    }
    rest.take_if::<256>()?;
    rest.take_if::<128>()?;
    rest.take_if::<64>()?;
    rest.take_if::<32>()?;
    rest.take_if::<16>()?;
    rest.take_if::<8>()?;
    rest.take_if::<4>()?;
    if rest.left & 2 != 0 {
        rest.sum = rest.sum.add_bytes(*packet.header::<[u8; 2]>(rest.at)?);
        rest.at = rest.at.wrapping_add(2).wrapping_add(zero) & OFFSETS;
        rest.left = rest.left.wrapping_sub(2);
    }
    match rest.left {
        0 => Some(rest.sum),
        // An odd byte counts as the first of a pair whose second is 0 (RFC 1071).
        1 => packet
            .header::<[u8; 1]>(rest.at)
            .map(|[last]| rest.sum.add_bytes([*last, 0])),
        _ => None,
    }
}

/// Bytes that are still to be summed.
struct Rest<'p, 'a, T> {
    packet: &'p Packet<'a>,
    tables: &'p T,
    /// [`Settings::zero`]: what it is added to is unknown to the verifier again, which else would follow the rest
    /// of the program once for each length that a packet may have.
    zero: usize,
    at: usize,
    left: usize,
    sum: Sum,
}

impl<T: Tables> Rest<'_, '_, T> {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Option<()> {
        let bytes = self.packet.header::<[u8; N]>(self.at)?;
        self.sum = if N > SHORT {
            self.sum.add(self.tables.sum(bytes))
        } else {
            let (words, _) = bytes.as_chunks::<4>();
            let add = |sum: Sum, word: &[u8; 4]| sum.add_u32(u32::from_ne_bytes(*word));
            words.iter().fold(self.sum, add)
        };
        self.at = self.at.wrapping_add(N).wrapping_add(self.zero) & OFFSETS;
        self.left = self.left.wrapping_sub(N).wrapping_add(self.zero) & OFFSETS;
        Some(())
    }

    #[inline(always)]
    fn take_if<const N: usize>(&mut self) -> Option<()> {
        if self.left & N == 0 {
            Some(())
        } else {
            self.take::<N>()
        }
    }
}

/// The most bytes summed at once: what `bpf_csum_diff` took before Linux 6.13 (its scratch buffer,
/// net/core/filter.c).
const LARGEST: usize = 512;

/// So few bytes are summed here as the kernel's helper would not be faster for, which costs a call.
const SHORT: usize = 64;

/// The longest segment that is summed here. On the BPF target that is a jumbo frame's, of a generic program: a native
/// one, which has one buffer, caps the MTU at 3,506.
const MAX_BYTES: usize = if cfg!(target_arch = "bpf") { 9216 } else { 65536 };

/// All offsets into a frame: a mask that changes none, for the verifier.
const OFFSETS: usize = if cfg!(target_arch = "bpf") {
    0x3fff
} else {
    0x1_ffff
};
