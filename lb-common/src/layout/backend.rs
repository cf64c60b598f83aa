//! Backends, and the way to them.

use crate::{link::Link, shared::Shared};

/// A backend of a service.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Backend {
    /// Bit 0, [`Backend::HOP`]: which of `hops` is in force. A new next hop is written beside the old one, then this is
    /// switched. Bit 1, [`Backend::ENDS`]: flows to the backend end at their client's next packet. Bit 2,
    /// [`Backend::KNOWN`]: there is a next hop.
    pub hop: Shared<u32>,
    /// A [`crate::manner::Manner`]: how packets reach it.
    pub manner: Shared<u32>,
    /// Next hop in force, and the one before or after it.
    pub hops: [Hop; 2],
    /// Address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
    /// A [`Span`](super::Span) of source addresses for full NAT and for the outside of tunnels.
    pub sources: Shared<u64>,
    /// Port in network order (as it lies in memory).
    pub port: Shared<u16>,
    /// Row of its [`Service`](super::Service) plus one; 0 while the row is nobody's. Not for packets: the next daemon
    /// tells by it, the address and the port whose row this is.
    pub service: Shared<u16>,
    /// Share of new flows; 0: takes none.
    pub weight: Shared<u16>,
    /// A [`Retries`]: what becomes of connections that it does not take.
    pub retries: Shared<u16>,
    /// Flows that are active. Survives the daemon: packets and sweeps alone change it.
    pub active: Shared<u64>,
    /// The most that may be; 0: no limit.
    pub maxconn: Shared<u32>,
    /// The row of another backend of the service that takes new flows: all of them are a ring. Its own, if it is alone
    /// or takes none.
    pub next: Shared<u32>,
    /// Since when it has taken no new flows because it is drained, in milliseconds since the Unix epoch; 0: it is not.
    /// Not for packets: the next daemon goes on counting.
    pub drained: Shared<u64>,
    /// 1 if it runs on this host, so that new flows to it are [`crate::manner::Forwarding::Local`]; else 0.
    pub local: Shared<u16>,
    reserved: [u16; 7],
}

impl Backend {
    /// In [`Backend::hop`]: which next hop is in force.
    pub const HOP: u32 = 1;
    /// In [`Backend::hop`]: flows to the backend end. It stands there because each client's packet reads that word
    /// anyway.
    pub const ENDS: u32 = 2;
    /// In [`Backend::hop`]: the next hop is known.
    pub const KNOWN: u32 = 4;
}

/// What becomes of a connection that a backend does not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retries {
    /// How often a SYN that is sent again is moved to another backend, at most [`MAX_RETRIES`].
    pub most: u8,
    /// Whether a refusal (RST for a SYN) is kept from the client for as long as its SYN may still be moved.
    pub hides_refusals: bool,
}

/// The most that an entry of the flow table counts of moves: it has three bits for them.
pub const MAX_RETRIES: u8 = 7;

impl Retries {
    const HIDES: u16 = 1 << 8;

    /// As it stands in table memory.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u16 {
        self.most as u16 | if self.hides_refusals { Self::HIDES } else { 0 }
    }

    /// The inverse of [`Retries::to_word`].
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u16) -> Self {
        Self {
            most: (word & 0xff) as u8,
            hides_refusals: word & Self::HIDES != 0,
        }
    }
}

/// Where packets go next.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Hop {
    /// The [`Link`] of frames to it: its MAC address, and ours towards it.
    link_head: Shared<u64>,
    link_tail: Shared<u32>,
    /// Interface towards it.
    pub interface: Shared<u32>,
    /// Longest IP packet that the way there takes, in bytes; 0: unknown, and none is too long.
    pub mtu: Shared<u32>,
    reserved: u32,
}

impl Hop {
    /// The MAC addresses of frames to it.
    #[inline(always)]
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            head: self.link_head.load(),
            tail: self.link_tail.load(),
        }
    }

    /// Whether its way takes no IP packet of that length, which is not 0.
    #[inline(always)]
    #[must_use]
    pub fn is_shorter_than(&self, length: u64) -> bool {
        // 0 is as long as can be, without a test of its own.
        length.wrapping_sub(1) > u64::from(self.mtu.load().wrapping_sub(1))
    }

    /// Changes the MAC addresses. Not while packets read them.
    pub fn set_link(&self, link: Link) {
        self.link_head.store(link.head);
        self.link_tail.store(link.tail);
    }
}

/// An address to put as source in full NAT, or outside in a tunnel.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Source {
    /// The address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
}

const _: () = {
    assert!(size_of::<Hop>() == 24);
    assert!(size_of::<Backend>() == 128);
    assert!(size_of::<Source>() == 16);
};
