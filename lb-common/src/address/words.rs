//! Words of table memory, and the halves that they are made of.

/// Two 32-bit words as they lie in memory, first and second, in one of 64 bits.
#[inline(always)]
pub(crate) const fn join(first: u32, second: u32) -> u64 {
    if cfg!(target_endian = "little") {
        first as u64 | (second as u64) << 32
    } else {
        second as u64 | (first as u64) << 32
    }
}

/// The inverse of [`join`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
pub(crate) const fn split(word: u64) -> (u32, u32) {
    if cfg!(target_endian = "little") {
        (word as u32, (word >> 32) as u32)
    } else {
        ((word >> 32) as u32, word as u32)
    }
}
