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

/// Two 16-bit words as they lie in memory, first and second, in one of 32 bits. Words and not bytes: LLVM would take
/// them apart and put them together again.
#[inline(always)]
pub(crate) const fn join_halves(first: [u8; 2], second: [u8; 2]) -> u32 {
    let (first, second) = (
        u16::from_ne_bytes(first) as u32,
        u16::from_ne_bytes(second) as u32,
    );
    if cfg!(target_endian = "little") {
        first | second << 16
    } else {
        second | first << 16
    }
}

/// The inverse of [`join_halves`].
#[inline(always)]
pub(crate) const fn split_halves(word: u32) -> ([u8; 2], [u8; 2]) {
    let (low, high) = ((word & 0xffff) as u16, (word >> 16) as u16);
    if cfg!(target_endian = "little") {
        (low.to_ne_bytes(), high.to_ne_bytes())
    } else {
        (high.to_ne_bytes(), low.to_ne_bytes())
    }
}
