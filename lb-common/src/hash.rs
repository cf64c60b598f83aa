//! The mixing step of the flow hash.

/// 2^64 divided by the golden ratio: odd, and its bits are well spread (Knuth, TAOCP 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Takes a word into a hash: a multiplication spreads it upwards, a shift brings the high bits down again.
#[inline(always)]
#[must_use]
pub const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(MULTIPLIER);
    product ^ (product >> 32)
}

/// Spreads every bit of a hash over all of it, which [`mix`] does upwards only: without this the ports of answers, which
/// differ in the last bytes mixed in, crowd in few buckets. The multiplier is that of Pelle Evensen's rrmxmx.
#[inline(always)]
#[must_use]
pub const fn finish(hash: u64) -> u64 {
    let product = hash.wrapping_mul(0x9fb2_1c65_1e98_df25);
    product ^ (product >> 28)
}

/// The upper half of a hash: the bits that depend on all of the input.
#[inline(always)]
#[must_use]
pub const fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The lower half of a hash.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub const fn low(hash: u64) -> u32 {
    hash as u32
}
