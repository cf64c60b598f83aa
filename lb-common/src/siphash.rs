//! SipHash-2-4 (Aumasson and Bernstein, 2012) of whole words: who does not know the key cannot say what comes out.

/// A hash under way.
#[derive(Clone, Copy)]
pub(crate) struct SipHash {
    state: [u64; 4],
    /// Bytes taken in.
    length: u64,
}

impl SipHash {
    #[inline(always)]
    pub(crate) const fn new([first, second]: [u64; 2]) -> Self {
        Self {
            state: [
                first ^ 0x736f_6d65_7073_6575,
                second ^ 0x646f_7261_6e64_6f6d,
                first ^ 0x6c79_6765_6e65_7261,
                second ^ 0x7465_6462_7974_6573,
            ],
            length: 0,
        }
    }

    /// Takes the eight bytes of a word in, the lowest first.
    #[inline(always)]
    pub(crate) const fn take(self, word: u64) -> Self {
        let [v0, v1, v2, v3] = self.state;
        let [v0, v1, v2, v3] = round(round([v0, v1, v2, v3 ^ word]));
        Self {
            state: [v0 ^ word, v1, v2, v3],
            length: self.length.wrapping_add(8),
        }
    }

    #[inline(always)]
    pub(crate) const fn finish(self) -> u64 {
        let last = self.length << 56;
        let [v0, v1, v2, v3] = self.take(last).state;
        let [v0, v1, v2, v3] = round(round(round(round([v0, v1, v2 ^ 0xff, v3]))));
        v0 ^ v1 ^ v2 ^ v3
    }
}

#[inline(always)]
const fn round([v0, v1, v2, v3]: [u64; 4]) -> [u64; 4] {
    let v0 = v0.wrapping_add(v1);
    let v1 = v1.rotate_left(13) ^ v0;
    let v0 = v0.rotate_left(32);
    let v2 = v2.wrapping_add(v3);
    let v3 = v3.rotate_left(16) ^ v2;
    let v0 = v0.wrapping_add(v3);
    let v3 = v3.rotate_left(21) ^ v0;
    let v2 = v2.wrapping_add(v1);
    let v1 = v1.rotate_left(17) ^ v2;
    let v2 = v2.rotate_left(32);
    [v0, v1, v2, v3]
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_of_nothing_is_that_of_the_authors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let hash = SipHash::new(key).finish();
        assert_eq!(
            hash.to_le_bytes(),
            [0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72]
        );
    }

    proptest! {
        #[test]
        #[expect(deprecated, reason = "what replaces it is not said to be SipHash-2-4")]
        fn it_is_what_the_standard_library_makes_of_the_same_bytes(
            key in any::<[u64; 2]>(),
            words in prop::collection::vec(any::<u64>(), 0..8),
        ) {
            let mut reference = std::hash::SipHasher::new_with_keys(key[0], key[1]);
            for word in &words {
                reference.write(&word.to_le_bytes());
            }
            let hash = words.iter().fold(SipHash::new(key), |hash, word| hash.take(*word));
            prop_assert_eq!(hash.finish(), reference.finish());
        }
    }
}
