//! Where a flow's client is, and what is done to its packets: two words of its entries.

use crate::{
    address::{TCP, UDP},
    flow::entry::{Client, Flow},
    layout::{MAX_BACKENDS, MAX_RETRIES, mac_difference, mac_from_word, mac_with, with_mac},
    link::Link,
    manner::Forwarding,
};

/// Where a flow's client is, and what is done to its packets: two words of its entries, read once for each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// MAC address of the client, then the lower two bytes of the backend.
    pub(super) client: u64,
    /// Our MAC address, then a byte whose lowest bit is the protocol ([`UDP_BIT`]), whose next two are the
    /// [`Forwarding`], whose three after those count the moves ([`ATTEMPTS`]) and whose next two are [`METERED`] and
    /// [`SPLICED`]; then four bits of the backend and four of [`Way::counted`].
    pub(super) own: u64,
}

/// Set for UDP, not for TCP: the lowest bit of either's number.
const UDP_BIT: u8 = 1;

/// Where the [`Forwarding`] stands in the byte of the protocol.
const FORWARDING_SHIFT: u32 = 1;

/// How often the flow was moved before it was answered: where in the byte, and how much of it.
const ATTEMPTS_SHIFT: u32 = 3;
const ATTEMPTS: u8 = MAX_RETRIES << ATTEMPTS_SHIFT;

/// Set where the entry's packets are counted among their source's: only the client's, and never the backend's.
const METERED: u8 = 1 << 6;

/// The backend's bits of the last byte, and where the others are.
const BACKEND: u8 = 0xf;
const COUNTED_SHIFT: u32 = 4;

/// Set where the two ends count by different sequence numbers, since a SYN cookie stood for the backend's.
const SPLICED: u8 = 1 << 7;

const _: () = assert!(MAX_RETRIES == 0b111, "an entry has three bits for moves");
const _: () = assert!(TCP & UDP_BIT == 0 && UDP & UDP_BIT == UDP_BIT);
const _: () = assert!(MAX_BACKENDS <= 1 << 20, "an entry has twenty bits for a backend");

impl Way {
    /// A flow's.
    #[inline(always)]
    pub(super) fn of<A>(flow: &Flow<A>) -> Self {
        let [first, second, third, _] = flow.backend.to_le_bytes();
        let kind = flow.protocol & UDP_BIT
            | (flow.forwarding as u8) << FORWARDING_SHIFT
            | flow.attempts << ATTEMPTS_SHIFT & ATTEMPTS
            | u8::from(flow.metered) << METERED.trailing_zeros()
            | if flow.cookie == 0 { 0 } else { SPLICED };
        Self {
            client: mac_with(flow.client.mac, [first, second]),
            own: mac_with(flow.client.own_mac, [kind, third | flow.counted << COUNTED_SHIFT]),
        }
    }

    /// The same with the client elsewhere.
    #[inline(always)]
    pub(super) fn led(self, client: &Client) -> Self {
        Self {
            client: with_mac(self.client, client.mac),
            own: with_mac(self.own, client.own_mac),
        }
    }

    /// The backend.
    #[inline(always)]
    #[must_use]
    pub fn backend(self) -> u32 {
        let ([.., first, second], [.., third]) = (self.client.to_ne_bytes(), self.own.to_ne_bytes());
        u32::from_le_bytes([first, second, third & BACKEND, 0])
    }

    /// Whether it is a flow of this protocol, TCP or UDP.
    #[inline(always)]
    pub(super) fn is_of(self, protocol: u8) -> bool {
        (self.kind() ^ protocol) & UDP_BIT == 0
    }

    /// The protocol.
    #[inline(always)]
    #[must_use]
    pub fn protocol(self) -> u8 {
        if self.is_of(TCP) { TCP } else { UDP }
    }

    /// What is done to the packets.
    #[inline(always)]
    #[must_use]
    pub fn forwarding(self) -> Forwarding {
        Forwarding::from_bits(self.kind() >> FORWARDING_SHIFT)
    }

    /// How often the flow was moved to another backend before it was answered.
    #[inline(always)]
    #[must_use]
    pub fn attempts(self) -> u8 {
        (self.kind() & ATTEMPTS) >> ATTEMPTS_SHIFT
    }

    /// Where the flow is counted among its source's active ones; 0: nowhere. See `quota::counted`.
    #[inline(always)]
    #[must_use]
    pub fn counted(self) -> u8 {
        let [.., last] = self.own.to_ne_bytes();
        last >> COUNTED_SHIFT
    }

    /// Whether the packets are counted among their source's.
    #[inline(always)]
    #[must_use]
    pub fn is_metered(self) -> bool {
        self.kind() & METERED != 0
    }

    /// Whether the two ends count by different sequence numbers.
    #[inline(always)]
    #[must_use]
    pub fn is_spliced(self) -> bool {
        self.kind() & SPLICED != 0
    }

    /// The MAC addresses of packets to the client.
    #[inline(always)]
    #[must_use]
    pub fn link_to_client(self) -> Link {
        Link {
            dst: self.client,
            src: self.own,
        }
    }

    /// Whether the client's frames have these MAC addresses.
    #[inline(always)]
    #[must_use]
    pub fn leads_back(self, link: Link) -> bool {
        mac_difference(self.client, link.src) | mac_difference(self.own, link.dst) == 0
    }

    /// The way to the client, by this interface.
    #[inline(always)]
    pub(super) fn to_client(self, interface: u32) -> Client {
        Client {
            interface,
            mac: mac_from_word(self.client),
            own_mac: mac_from_word(self.own),
        }
    }

    #[inline(always)]
    fn kind(self) -> u8 {
        let [.., kind, _] = self.own.to_ne_bytes();
        kind
    }
}
