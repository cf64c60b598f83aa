//! What is done to a flow's packets: one word of its entries.

use crate::{
    address::{TCP, UDP},
    flow::entry::Flow,
    layout::{MAX_BACKENDS, MAX_RETRIES},
    manner::Forwarding,
};

/// What is done to a flow's packets: one word of its entries, which stays as long as the flow lives.
///
/// From its lowest bit: twenty of the backend, one of the protocol (`UDP_BIT`), two of the [`Forwarding`], three that count
/// the moves (`ATTEMPTS`), `METERED`, `SPLICED`, and four of [`Way::counted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way(pub u32);

/// The backend's bits.
const BACKEND: u32 = MAX_BACKENDS - 1;

/// Where a bit stands that is set for UDP, not for TCP: the lowest of either's number.
const PROTOCOL_SHIFT: u32 = 20;
const UDP_BIT: u8 = 1;

/// Where the [`Forwarding`] stands.
const FORWARDING_SHIFT: u32 = 21;

/// How often the flow was moved before it was answered.
const ATTEMPTS_SHIFT: u32 = 23;
const ATTEMPTS: u32 = (MAX_RETRIES as u32) << ATTEMPTS_SHIFT;

/// Set where the entry's packets are counted among their source's: only the client's, and never the backend's.
const METERED: u32 = 1 << 26;

/// Set where the two ends count by different sequence numbers, since a SYN cookie stood for the backend's.
const SPLICED: u32 = 1 << 27;

/// Where [`Way::counted`] stands.
const COUNTED_SHIFT: u32 = 28;

const _: () = assert!(MAX_RETRIES == 0b111, "an entry has three bits for moves");
const _: () = assert!(TCP & UDP_BIT == 0 && UDP & UDP_BIT == UDP_BIT);
const _: () = assert!(
    MAX_BACKENDS == 1 << PROTOCOL_SHIFT,
    "an entry has twenty bits for a backend"
);

impl Way {
    /// A flow's.
    #[inline(always)]
    pub(super) const fn of<A>(flow: &Flow<A>) -> Self {
        let protocol = ((flow.protocol & UDP_BIT) as u32) << PROTOCOL_SHIFT;
        let forwarding = (flow.forwarding as u32) << FORWARDING_SHIFT;
        let attempts = (flow.attempts as u32) << ATTEMPTS_SHIFT & ATTEMPTS;
        let metered = if flow.metered { METERED } else { 0 };
        let spliced = if flow.cookie == 0 { 0 } else { SPLICED };
        let counted = (flow.counted as u32) << COUNTED_SHIFT;
        Self(flow.backend & BACKEND | protocol | forwarding | attempts | metered | spliced | counted)
    }

    /// The backend.
    #[inline(always)]
    #[must_use]
    pub const fn backend(self) -> u32 {
        self.0 & BACKEND
    }

    /// Whether it is a flow of this protocol, TCP or UDP.
    #[inline(always)]
    pub(super) const fn is_of(self, protocol: u8) -> bool {
        (self.0 >> PROTOCOL_SHIFT ^ protocol as u32) & UDP_BIT as u32 == 0
    }

    /// The protocol.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(self) -> u8 {
        if self.is_of(TCP) { TCP } else { UDP }
    }

    /// What is done to the packets.
    #[inline(always)]
    #[must_use]
    pub const fn forwarding(self) -> Forwarding {
        Forwarding::from_word(self.0 >> FORWARDING_SHIFT)
    }

    /// How often the flow was moved to another backend before it was answered.
    #[inline(always)]
    #[must_use]
    pub const fn attempts(self) -> u8 {
        ((self.0 & ATTEMPTS) >> ATTEMPTS_SHIFT) as u8
    }

    /// Where the flow is counted among its source's active ones; 0: nowhere. See `quota::counted`.
    #[inline(always)]
    #[must_use]
    pub const fn counted(self) -> u8 {
        (self.0 >> COUNTED_SHIFT) as u8
    }

    /// Whether the packets are counted among their source's.
    #[inline(always)]
    #[must_use]
    pub const fn is_metered(self) -> bool {
        self.0 & METERED != 0
    }

    /// Whether the two ends count by different sequence numbers.
    #[inline(always)]
    #[must_use]
    pub const fn is_spliced(self) -> bool {
        self.0 & SPLICED != 0
    }

    /// Whether neither of the two asks for more than that packets are forwarded.
    #[inline(always)]
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & (METERED | SPLICED) == 0
    }
}
