//! Which ports anybody can want.

use crate::{
    address::{Port, TCP, UDP},
    opaque,
    shared::Shared,
};

/// Per port, who might want a packet that carries it. The cheap look-up that comes first.
#[repr(C)]
pub struct PortFilter {
    /// Bits [`PortFilter::TCP`], [`PortFilter::UDP`], [`PortFilter::BY_SOURCE`] and [`PortFilter::VERIFY`] by destination
    /// port.
    pub destinations: ByPort,
    /// Bits [`PortFilter::TCP`] and [`PortFilter::UDP`] by source port, for packets whose destination port has
    /// [`PortFilter::BY_SOURCE`], and for those that this host sends.
    pub sources: ByPort,
}

/// A byte for each port, at its number: ports that are taken one after the other share a line of memory.
#[repr(transparent)]
pub struct ByPort([Shared<u8>; 65536]);

impl ByPort {
    /// The byte of a port.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "there is a byte for each of 16 bits, as the compiler sees"
    )]
    pub fn of(&self, port: Port) -> &Shared<u8> {
        // Verifiers of old kernels (6.1) do not know how great a number is whose bytes were swapped.
        &self.0[opaque::number(usize::from(port.number())) & 0xffff]
    }

    /// All ports with their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (Port, &Shared<u8>)> {
        (0..=u16::MAX).map(Port::new).zip(&self.0)
    }
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

    /// The bit of [`TCP`] or [`UDP`], whose lowest bits differ: computed, since LLVM would choose by two jumps.
    #[inline(always)]
    #[must_use]
    pub const fn bit_of(protocol: u8) -> u8 {
        Self::TCP.wrapping_add(protocol & 1)
    }
}

const _: () = {
    assert!(size_of::<PortFilter>() == 131_072);
    assert!(PortFilter::bit_of(TCP) == PortFilter::TCP && PortFilter::bit_of(UDP) == PortFilter::UDP);
};
