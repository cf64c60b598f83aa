//! What single sources take of services.

use crate::shared::Shared;

/// What eight sources have taken of a service each, and of which: a bucket of a hash table. Three cache lines.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Quotas {
    /// Whose a place is: a tag of service and source in the upper half, 0 where it was never anybody's; in the lower
    /// half the source's active flows.
    pub holders: [Shared<u64>; Quotas::PLACES as usize],
    /// Flows opened: a window of `rate::takes`.
    pub flows: [Shared<u64>; Quotas::PLACES as usize],
    /// Packets sent: a window of `rate::takes`.
    pub packets: [Shared<u64>; Quotas::PLACES as usize],
}

impl Quotas {
    /// Sources of a bucket: a power of two.
    pub const PLACES: u32 = 8;
}

const _: () = {
    assert!(size_of::<Quotas>() == 192);
    assert!(Quotas::PLACES.is_power_of_two());
};
