//! How packets reach a backend.

use crate::address::Port;

/// What is done to the packets of a flow. Two bits of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Forwarding {
    /// Addresses and ports are translated, in both directions.
    Translate = 0,
    /// Packets get the backend's MAC address and stay as they are; answers do not come by here.
    Direct = 1,
    /// Packets travel to the backend within others; answers do not come by here.
    Encapsulate = 2,
    /// Addresses and ports are translated, and this host's own stack gets the packets: the backend runs here.
    Local = 3,
}

impl Forwarding {
    /// From the lowest two bits of a byte.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            1 => Self::Direct,
            2 => Self::Encapsulate,
            3 => Self::Local,
            _ => Self::Translate,
        }
    }

    /// From a word, of which the lowest two bits count.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        Self::from_bits((word & 3) as u8)
    }

    /// Whether answers come by here, so that a flow has an entry for them too.
    #[inline(always)]
    #[must_use]
    pub const fn sees_answers(self) -> bool {
        matches!(self, Self::Translate | Self::Local)
    }
}

/// All of it for one backend, in one word of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner(pub u32);

impl Manner {
    /// Source and destination are translated.
    pub const FULL_NAT: Self = Self(Forwarding::Translate as u32);
    /// The destination is translated, and the client's address and port stay.
    pub const NAT: Self = Self(Forwarding::Translate as u32 | Self::KEEPS_CLIENT);
    /// The MAC addresses change and nothing else.
    pub const DSR: Self = Self(Forwarding::Direct as u32);

    const KEEPS_CLIENT: u32 = 1 << 2;
    const OUTER_IS_V6: u32 = 1 << 3;

    /// Packets travel within others of a family; with a port, within UDP datagrams to it.
    #[must_use]
    pub const fn tunnel(outer_is_v6: bool, gue_port: Option<Port>) -> Self {
        let family = if outer_is_v6 { Self::OUTER_IS_V6 } else { 0 };
        let port = match gue_port {
            Some(port) => (port.number() as u32) << 16,
            None => 0,
        };
        Self(Forwarding::Encapsulate as u32 | family | port)
    }

    /// What is done to packets.
    #[inline(always)]
    #[must_use]
    pub const fn forwarding(self) -> Forwarding {
        Forwarding::from_word(self.0)
    }

    /// Whether the backend sees its clients' addresses and ports where addresses are translated.
    #[inline(always)]
    #[must_use]
    pub const fn keeps_client(self) -> bool {
        self.0 & Self::KEEPS_CLIENT != 0
    }

    /// Whether packets travel within IPv6, and not within IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn outer_is_v6(self) -> bool {
        self.0 & Self::OUTER_IS_V6 != 0
    }

    /// Where the UDP datagrams go that packets travel in; none: they travel in IP alone.
    #[inline(always)]
    #[must_use]
    pub const fn gue_port(self) -> Option<Port> {
        match (self.0 >> 16) as u16 {
            0 => None,
            number => Some(Port::new(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_what_it_was_made_of() {
        for (manner, forwarding, keeps_client) in [
            (Manner::FULL_NAT, Forwarding::Translate, false),
            (Manner::NAT, Forwarding::Translate, true),
            (Manner::DSR, Forwarding::Direct, false),
            (Manner::tunnel(false, None), Forwarding::Encapsulate, false),
        ] {
            assert_eq!(
                (manner.forwarding(), manner.keeps_client()),
                (forwarding, keeps_client)
            );
            assert_eq!((manner.outer_is_v6(), manner.gue_port()), (false, None));
        }
        for (outer_is_v6, port) in [
            (true, None),
            (false, Some(Port::new(6080))),
            (true, Some(Port::new(1))),
        ] {
            let manner = Manner::tunnel(outer_is_v6, port);
            assert_eq!((manner.outer_is_v6(), manner.gue_port()), (outer_is_v6, port));
            assert_eq!(manner.forwarding(), Forwarding::Encapsulate);
        }
    }
}
