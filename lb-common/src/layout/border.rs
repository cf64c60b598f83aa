//! Lists of networks, as the addresses at which their answer changes.

use crate::shared::Shared;

/// The most rows that one list may have. A power of two.
pub const MAX_BORDERS: u32 = 1 << 18;

/// An address from which on a list says the opposite of what it said before: a row of a list, which is sorted.
///
/// Two words in host order, IPv4 as IPv4-mapped.
#[derive(Debug, Default)]
#[repr(C, align(16))]
pub struct Border {
    /// The upper half of the address.
    pub high: Shared<u64>,
    /// The lower half.
    pub low: Shared<u64>,
}

const _: () = {
    assert!(size_of::<Border>() == 16);
    assert!(MAX_BORDERS.is_power_of_two());
};
