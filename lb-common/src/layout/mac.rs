//! MAC addresses in words of table memory.

use crate::address::Mac;

/// A MAC address in the first six bytes of a word.
#[inline(always)]
#[must_use]
pub const fn mac_to_word(mac: Mac) -> u64 {
    mac_with(mac, [0, 0])
}

/// A MAC address and two bytes more in a word.
#[inline(always)]
pub(crate) const fn mac_with(mac: Mac, last: [u8; 2]) -> u64 {
    let ([m0, m1, m2, m3, m4, m5], [m6, m7]) = (mac, last);
    u64::from_ne_bytes([m0, m1, m2, m3, m4, m5, m6, m7])
}

/// A word with another MAC address in its first six bytes.
#[inline(always)]
pub(crate) const fn with_mac(word: u64, mac: Mac) -> u64 {
    let [.., m6, m7] = word.to_ne_bytes();
    mac_with(mac, [m6, m7])
}

/// The twelve bytes of two MAC addresses, each in the first six bytes of a word: whole words, which are stored at once.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the four bytes that are left")]
pub(crate) const fn mac_pair(first: u64, second: u64) -> ([u8; 8], [u8; 4]) {
    if cfg!(target_endian = "little") {
        let head = first & 0xffff_ffff_ffff | second << 48;
        (head.to_ne_bytes(), ((second >> 16) as u32).to_ne_bytes())
    } else {
        let head = first & !0xffff | second >> 48;
        (head.to_ne_bytes(), ((second >> 16) as u32).to_ne_bytes())
    }
}

/// 0 if both words hold the same MAC address, whatever their other two bytes.
#[inline(always)]
pub(crate) const fn mac_difference(one: u64, other: u64) -> u64 {
    if cfg!(target_endian = "little") {
        (one ^ other) << 16
    } else {
        (one ^ other) >> 16
    }
}

/// The inverse of [`mac_to_word`].
#[inline(always)]
#[must_use]
pub const fn mac_from_word(word: u64) -> Mac {
    let [m0, m1, m2, m3, m4, m5, _, _] = word.to_ne_bytes();
    [m0, m1, m2, m3, m4, m5]
}
