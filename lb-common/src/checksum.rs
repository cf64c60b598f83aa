//! The Internet checksum: RFC 1071, and its incremental update, RFC 1624.
//!
//! Sums are taken over native-endian words: one's-complement addition commutes with swapping bytes
//! (RFC 1071 section 2(B)), so that the result lies in memory as the wire wants it. Checksums are such words too, and
//! not pairs of bytes, which LLVM would load and store one by one.

/// A one's-complement sum that is not yet folded to 16 bits.
///
/// Room enough: each addition adds less than 2^33, and 2^14 of them are more than a packet of 64 KB takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum(u64);

/// The difference that a replacement of words makes.
#[derive(Debug, Clone, Copy)]
pub struct Update(Sum);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// With two bytes more.
    #[inline(always)]
    #[must_use]
    pub const fn add_bytes(self, bytes: [u8; 2]) -> Self {
        self.add_u16(u16::from_ne_bytes(bytes))
    }

    /// With two bytes more, in native order.
    #[inline(always)]
    #[must_use]
    pub const fn add_u16(self, word: u16) -> Self {
        Self(self.0.wrapping_add(word as u64))
    }

    /// With four bytes more, in native order.
    #[inline(always)]
    #[must_use]
    pub const fn add_u32(self, word: u32) -> Self {
        Self(self.0.wrapping_add(word as u64))
    }

    /// With eight bytes more, in native order.
    #[inline(always)]
    #[must_use]
    pub const fn add_u64(self, word: u64) -> Self {
        Self(self.0.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32))
    }

    /// With the bytes of a slice more; an odd last byte counts as the first of a pair.
    #[must_use]
    pub fn add_slice(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let sum = words
            .iter()
            .fold(self, |sum, word| sum.add_u64(u64::from_ne_bytes(*word)));
        rest.chunks(2).fold(sum, |sum, pair| match pair {
            [first, second] => sum.add_bytes([*first, *second]),
            [last] => sum.add_bytes([*last, 0]),
            _ => sum,
        })
    }

    /// With all of another sum.
    #[inline(always)]
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The rest of a pseudo-header (RFC 9293 3.1, RFC 8200 8.1), whose addresses are summed already: protocol
    /// and length of the transport segment.
    #[inline(always)]
    #[must_use]
    pub const fn add_protocol(self, protocol: u8, length: u16) -> Self {
        self.add_bytes([0, protocol]).add_bytes(length.to_be_bytes())
    }

    /// Folded to 16 bits, not complemented, as it stands in a field that a sender left for its NIC to finish.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        // 2^16 is 1 in this arithmetic. What is below 2^48 is below 2^32 then.
        let sum = (self.0 >> 16).wrapping_add(self.0 & 0xffff);
        // Its two halves added, and what that carries.
        let upper = sum >> 16;
        (sum.wrapping_add(sum.wrapping_add(upper) >> 16) & 0xffff) as u16
    }

    /// Whether a sum of more than zeros folds to that, which takes less to find out than to fold it: both are the same
    /// modulo 2^16 - 1 then, which is one multiplication (Hacker's Delight, 2nd ed., 10-17), and only zeros fold to 0.
    #[inline(always)]
    #[must_use]
    pub const fn folds_to(self, word: u16) -> bool {
        self.0.wrapping_add(!word as u64).is_multiple_of(0xffff) && word != 0
    }

    /// The checksum: folded and complemented.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// The update that puts `new` where this sum's words stood, which take 2^7 additions at most.
    #[inline(always)]
    #[must_use]
    pub const fn replaced_by(self, new: Self) -> Update {
        /// 0 in one's-complement arithmetic of 16 bits, and greater than any sum that is taken from it.
        const NOTHING: u64 = 0xffff << 24;
        // ~m of RFC 1624 for a whole sum: complementing it is subtracting it, and folding can wait.
        Update(Self(new.0.wrapping_add(NOTHING.wrapping_sub(self.0))))
    }
}

impl Update {
    /// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
    #[inline(always)]
    #[must_use]
    pub const fn in_checksum(self, checksum: u16) -> u16 {
        self.0.add_u16(!checksum).checksum()
    }

    /// The sum with the update made.
    #[inline(always)]
    #[must_use]
    pub const fn in_sum(self, sum: Sum) -> Sum {
        sum.add(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1624_gives_zero_only_where_it_should() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285 -> HC' = 0x0000.
        let update = Sum::ZERO
            .add_bytes([0x55, 0x55])
            .replaced_by(Sum::ZERO.add_bytes([0x32, 0x85]));
        assert_eq!(update.in_checksum(u16::from_ne_bytes([0xdd, 0x2f])), 0);
    }

    proptest! {
        #[test]
        fn what_a_sum_folds_to_is_the_same_without_folding_it(sum in 1..1_u64 << 47, other in any::<u16>()) {
            for sum in [sum, sum & 0x1_ffff | 1, (sum >> 16 | 1) * 0xffff].map(Sum) {
                for word in [other, sum.fold(), !sum.fold(), 0, u16::MAX] {
                    prop_assert_eq!(sum.folds_to(word), sum.fold() == word);
                }
            }
        }

        #[test]
        fn sums_of_words_equal_the_plain_definition(words in prop::collection::vec(any::<[u8; 8]>(), 0..200)) {
            let sum = words.iter().fold(Sum::ZERO, |sum, word| sum.add_u64(u64::from_ne_bytes(*word)));
            prop_assert_eq!(u16::from_be(sum.checksum()), reference(words.as_flattened()));
        }

        #[test]
        fn an_update_equals_a_new_sum(mut data in any::<[u8; 20]>(), new in any::<[u8; 4]>()) {
            data[0] |= 1; // never all zero: +0 and -0 of one's complement are the one difference left (RFC 1624 3)
            let before = reference(&data).to_be();
            let old = u32::from_ne_bytes(data[8..12].try_into().unwrap());
            data[8..12].copy_from_slice(&new);
            let update = Sum::ZERO.add_u32(old).replaced_by(Sum::ZERO.add_u32(u32::from_ne_bytes(new)));
            prop_assert_eq!(u16::from_be(update.in_checksum(before)), reference(&data));
        }
    }
}
