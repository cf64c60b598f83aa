//! From a virtual address to its service.

use crate::{
    address::{Address, AddressCell as _, ICMP, Port, Tuple, V6},
    hash::{low, mix},
    layout::{ServiceSlot, Settings},
    tables::Tables,
};

/// How many slots a look-up tries. Whoever fills the index makes it large enough for every service to stand
/// within this distance of its home.
pub const PROBES: u32 = 8;

/// The key word of a [`ServiceSlot`]: 0 where the slot was never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotKey(pub u64);

impl SlotKey {
    /// A slot whose service is gone; look-ups go on behind it.
    pub const REMOVED: Self = Self(1 << 63);

    const IN_USE: u64 = 1 << 62;

    /// The key of a virtual address, to be compared by [`SlotKey::matches`].
    #[inline(always)]
    #[must_use]
    pub const fn new(protocol: u8, port: Port, service: u16) -> Self {
        Self(Self::IN_USE | (protocol as u64) << 32 | (port.number() as u64) << 16 | service as u64)
    }

    /// Whether both mean the same protocol and port.
    #[inline(always)]
    #[must_use]
    pub const fn matches(self, other: Self) -> bool {
        self.0 >> 16 == other.0 >> 16
    }

    /// The service.
    #[inline(always)]
    #[must_use]
    pub const fn service(self) -> u32 {
        (self.0 & 0xffff) as u32
    }

    /// Protocol and port, if the slot is in use.
    #[must_use]
    pub const fn protocol_and_port(self) -> Option<(u8, Port)> {
        if self.0 & Self::IN_USE == 0 {
            return None;
        }
        let [.., protocol, port_high, port_low, _, _] = self.0.to_be_bytes();
        Some((protocol, Port([port_high, port_low])))
    }
}

/// The first slot to look for a virtual address in.
#[inline(always)]
#[must_use]
pub fn home(settings: &Settings, address: V6, protocol: u8, port: Port) -> u32 {
    let V6([first, second]) = address;
    let hash = mix(
        mix(mix(settings.seed.load(), first), second),
        SlotKey::new(protocol, port, 0).0,
    );
    low(hash) & settings.service_mask.load()
}

/// The protocol under which an address itself stands in the index, with port 0, if any service has it: ICMP's, for both
/// families.
pub const ADDRESS: u8 = ICMP;

/// Whether any service has this address.
#[inline(always)]
pub(crate) fn is_virtual<A: Address, T: Tables>(tables: &T, settings: &Settings, address: A) -> bool {
    find(tables, settings, &Tuple::new(address, address, 0), ADDRESS).is_some()
}

/// The service of a packet's destination.
#[inline(always)]
pub fn find<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    tuple: &Tuple<A>,
    protocol: u8,
) -> Option<u32> {
    let address = tuple.dst.mapped();
    let wanted = SlotKey::new(protocol, tuple.dst_port, 0);
    let mask = settings.service_mask.load();
    let mut index = home(settings, address, protocol, tuple.dst_port);
    for _ in 0..PROBES {
        let slot = tables.service_slot(index)?;
        let key = SlotKey(slot.key.load());
        if key.0 == 0 {
            return None;
        }
        if key.matches(wanted) && holds(slot, key, address) {
            return Some(key.service());
        }
        index = index.wrapping_add(1) & mask;
    }
    None
}

/// Whether the slot is of this address; the key is read again after it, since a slot may be given to another.
#[inline(always)]
fn holds(slot: &ServiceSlot, key: SlotKey, address: V6) -> bool {
    slot.address.load() == address && slot.key.load() == key.0
}
