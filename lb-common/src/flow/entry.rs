//! What an entry of the flow table holds.

use crate::{
    address::{Address, AddressCell as _, AddressPair as _, Tuple, V4, V6, join, split},
    flow::{
        control::{Control, State},
        way::Way,
    },
    layout::Ended,
    link::Link,
    manner::Forwarding,
    shared::Shared,
};

/// Entries of a bucket.
pub const ENTRIES: usize = 4;

/// Entries that a key may stand in, next to each other in memory.
#[derive(Default)]
#[repr(C)]
pub struct Bucket<A: Address>(pub [Entry<A>; ENTRIES]);

/// One direction of one flow. 64 bytes for IPv4, 128 for IPv6: whole cache lines.
///
/// All below `ack` is written before the entry is published and unchanged until it is claimed again: who reads
/// it, and finds the control word unchanged afterwards, has read what belongs together.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Entry<A: Address> {
    /// A [`Control`]: owner, generation and state.
    pub control: Shared<u64>,
    /// When its last packet came, in ticks.
    pub seen: Shared<u32>,
    /// Acknowledgement number of its last packet, as it lies in memory: the sequence number that its sender
    /// expects next, which a RST to it must carry (RFC 9293 3.5.2). In entries of a spliced flow something else, in host
    /// order: the cookie; in the client's, once the backend has answered, how much more it is than the backend's own
    /// initial sequence number.
    pub ack: Shared<u32>,
    partner: Shared<u32>,
    interface: Shared<u32>,
    /// The [`Link`] of its frames on the client's side, as they come from there or go there.
    link_head: Shared<u64>,
    link_tail: Shared<u32>,
    /// A [`Way`].
    way: Shared<u32>,
    /// The four ports: source, destination, new source, new destination.
    ports: Shared<u64>,
    from: A::Pair,
    to: A::Pair,
}

const _: () = assert!(size_of::<Entry<V4>>() == 64 && size_of::<Entry<V6>>() == 128);

/// The partner of an entry that has none, since answers do not come by here: no entry stands there.
pub const NO_PARTNER: u32 = u32::MAX;

/// What is done to the packets of one direction: an entry's content as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow<A> {
    /// What the packets carry.
    pub key: Tuple<A>,
    /// What they leave with. Where they travel within others of their family, the addresses are those outside; where within
    /// others of the other family, they are the key's.
    pub to: Tuple<A>,
    /// TCP or UDP.
    pub protocol: u8,
    /// What is done to the packets.
    pub forwarding: Forwarding,
    /// The backend.
    pub backend: u32,
    /// Where the client is.
    pub client: Client,
    /// Where the other direction's entry stands: bucket × [`ENTRIES`] + place; [`NO_PARTNER`] if there is none.
    pub partner: u32,
    /// How often it was moved to another backend before it was answered, at most [`crate::layout::MAX_RETRIES`].
    pub attempts: u8,
    /// Where it is counted among its source's active flows: four bits, 0 where it is not; see `quota::counted`.
    pub counted: u8,
    /// Whether its client's packets are counted among their source's.
    pub metered: bool,
    /// The SYN cookie that opened it, which the client takes for the backend's initial sequence number; 0: it has the
    /// backend's own. Of an entry whose backend has answered, what [`Entry::ack`] says.
    pub cookie: u32,
}

/// The way to a client: the way that its last packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Interface that its packets come in by.
    pub interface: u32,
    /// MAC addresses that they come from and to.
    pub link: Link,
}

impl<A: Address> Flow<A> {
    /// The other direction of the same flow: it carries the answer to what this one leaves with.
    #[inline(always)]
    #[must_use]
    pub fn reply(&self, partner: u32) -> Self {
        Self {
            key: self.to.reversed(),
            to: self.key.reversed(),
            partner,
            metered: false,
            ..*self
        }
    }
}

impl<A: Address> Entry<A> {
    /// The control word.
    #[inline(always)]
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.control.load())
    }

    /// Whether its packets carry this key.
    #[inline(always)]
    #[must_use]
    pub fn carries(&self, key: &Tuple<A>) -> bool {
        let (ports, _) = split(self.ports.load());
        ports == key.ports() && self.from.is((key.src, key.dst))
    }

    /// Ticks since its last packet; 0 if that came by a clock that is ahead of `now`.
    #[inline(always)]
    #[must_use]
    pub fn quiet(&self, now: u32) -> u32 {
        let ticks = now.wrapping_sub(self.seen.load());
        if ticks > u32::MAX / 2 { 0 } else { ticks }
    }

    /// What its packets carry.
    #[inline(always)]
    #[must_use]
    pub fn key(&self) -> Tuple<A> {
        let (ports, _) = split(self.ports.load());
        let (src, dst) = self.from.load();
        Tuple::new(src, dst, ports)
    }

    /// What its packets leave with.
    #[inline(always)]
    #[must_use]
    pub fn to(&self) -> Tuple<A> {
        let (_, ports) = split(self.ports.load());
        let (src, dst) = self.to.load();
        Tuple::new(src, dst, ports)
    }

    /// The addresses of [`Entry::to`].
    #[inline(always)]
    pub(crate) fn to_addresses(&self) -> (A, A) {
        self.to.load()
    }

    /// What is done to the packets.
    #[inline(always)]
    #[must_use]
    pub fn way(&self) -> Way {
        Way(self.way.load())
    }

    /// The MAC addresses of its frames on the client's side.
    #[inline(always)]
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            head: self.link_head.load(),
            tail: self.link_tail.load(),
        }
    }

    /// The source address of its packets.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> A {
        self.from.load().0
    }

    /// The interface that the client's packets come in by.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface.load()
    }

    /// Where the other direction's entry stands.
    #[inline(always)]
    #[must_use]
    pub fn partner(&self) -> u32 {
        self.partner.load()
    }

    /// All of its content; right if the control word is the same before and after.
    #[must_use]
    pub fn flow(&self) -> Flow<A> {
        let way = self.way();
        Flow {
            key: self.key(),
            to: self.to(),
            protocol: way.protocol(),
            forwarding: way.forwarding(),
            backend: way.backend(),
            client: self.client(),
            partner: self.partner(),
            attempts: way.attempts(),
            counted: way.counted(),
            metered: way.is_metered(),
            cookie: if way.is_spliced() { self.ack.load() } else { 0 },
        }
    }

    /// Where the client is.
    fn client(&self) -> Client {
        Client {
            interface: self.interface(),
            link: in_direction(self.link(), self.control().state()),
        }
    }

    /// Copies what is known of its flow.
    #[inline(always)]
    pub(super) fn copy_to(&self, row: &Ended) {
        let ((src, dst), (to_src, to_dst)) = (self.from.load(), self.to.load());
        for (cell, address) in row.addresses.iter().zip([src, dst, to_src, to_dst]) {
            cell.store(address.mapped());
        }
        row.ports.store(self.ports.load());
        row.way.store(self.way().0);
        row.seen.store(self.seen.load());
        row.state.store(u32::from(self.control().state().0));
    }

    /// Fills an entry that is claimed, for the direction that a state belongs to.
    #[inline(always)]
    pub(super) fn fill(&self, flow: &Flow<A>, state: State) {
        self.ports.store(join(flow.key.ports(), flow.to.ports()));
        self.from.store((flow.key.src, flow.key.dst));
        self.to.store((flow.to.src, flow.to.dst));
        self.partner.store(flow.partner);
        self.way.store(Way::of(flow).0);
        self.lead(&flow.client, state);
        self.ack.store(flow.cookie);
    }

    /// Changes the way to the client in an entry that is claimed, of the direction that a state belongs to.
    #[inline(always)]
    pub(super) fn lead(&self, client: &Client, state: State) {
        let link = in_direction(client.link, state);
        self.link_head.store(link.head);
        self.link_tail.store(link.tail);
        self.interface.store(client.interface);
    }
}

/// The link of a client's frames as it stands in the entry of the direction that a state belongs to, and back.
#[inline(always)]
const fn in_direction(link: Link, state: State) -> Link {
    if state.has(State::REPLY) {
        link.reversed()
    } else {
        link
    }
}
