//! Bytes that both ends of a transfer can make for themselves, to compare what arrived with what was meant.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use axum::body::Bytes;
use sha2::{Digest as _, Sha256};

const CHUNK: u64 = 64 * 1024;

/// A stream of chunks of pseudo-random bytes: the same for the same size and seed.
#[derive(Debug, Clone)]
pub struct Blob {
    remaining: u64,
    state: u64,
}

impl Blob {
    /// `size` bytes; seeds make different ones.
    #[must_use]
    pub fn new(size: u64, seed: u64) -> Self {
        Self {
            remaining: size,
            state: seed,
        }
    }

    /// SHA-256 of the bytes, in hex. Worked out once: many transfers are often of the same bytes.
    #[must_use]
    pub fn hash(self) -> String {
        static KNOWN: Mutex<BTreeMap<(u64, u64), String>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = known.entry((self.remaining, self.state)).or_insert_with(|| {
            let mut hasher = Sha256::new();
            self.for_each(|chunk| hasher.update(&chunk));
            hex(hasher)
        });
        hash.clone()
    }

    /// All the bytes at once.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.fold(Vec::new(), |mut bytes, chunk| {
            bytes.extend_from_slice(&chunk);
            bytes
        })
    }

    /// The next eight bytes, by `SplitMix64` (Steele, Lea, Flood 2014): quick, and no two chunks alike, so that
    /// lost, doubled or swapped segments show.
    fn next_word(&mut self) -> [u8; 8] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    }
}

impl Iterator for Blob {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.remaining.min(CHUNK))
            .ok()
            .filter(|&length| length > 0)?;
        let mut chunk = Vec::with_capacity(length + 8);
        while chunk.len() < length {
            chunk.extend_from_slice(&self.next_word());
        }
        chunk.truncate(length);
        self.remaining -= length as u64;
        Some(chunk.into())
    }
}

/// A finished hash, in hex.
pub(crate) fn hex(hasher: Sha256) -> String {
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_size_asked_for() {
        for size in [0, 1, 7, 8, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            assert_eq!(Blob::new(size, 1).bytes().len() as u64, size);
        }
    }

    #[test]
    fn is_the_same_for_the_same_seed_only() {
        assert_eq!(Blob::new(100_000, 1).hash(), Blob::new(100_000, 1).hash());
        assert_ne!(Blob::new(100_000, 1).hash(), Blob::new(100_000, 2).hash());
    }
}
