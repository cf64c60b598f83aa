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
