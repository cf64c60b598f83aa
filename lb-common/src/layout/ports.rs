//! Which ports anybody can want.

use crate::shared::Shared;

/// Per port number, who might want a packet that carries it. The cheap look-up that comes first.
#[repr(C)]
pub struct PortFilter {
    /// Bits [`PortFilter::TCP`], [`PortFilter::UDP`], [`PortFilter::BY_SOURCE`] and [`PortFilter::VERIFY`] by destination
    /// port in host order.
    pub destinations: [Shared<u8>; 65536],
    /// Bits [`PortFilter::TCP`] and [`PortFilter::UDP`] by source port in host order, for packets whose destination
    /// port has [`PortFilter::BY_SOURCE`], and for those that this host sends.
    pub sources: [Shared<u8>; 65536],
}

impl PortFilter {
    /// TCP packets to this port may be for a service or belong to a flow.
    pub const TCP: u8 = 1;
    /// UDP packets to this port may be for a service or belong to a flow.
    pub const UDP: u8 = 2;
    /// Answers of backends that see their clients' ports may go to this port: the source port tells. All ports have
    /// this bit, or none does, so that who has no such backends does not pay for it.
    pub const BY_SOURCE: u8 = 4;
    /// Checksums are verified of packets to a service on this port. Which of those that share it asks for that, the
    /// service's record says.
    pub const VERIFY: u8 = 8;
}

const _: () = {
    assert!(size_of::<PortFilter>() == 131_072);
};
