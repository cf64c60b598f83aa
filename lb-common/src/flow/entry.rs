//! What an entry of the flow table holds.

use crate::{
    address::{Address, AddressCell as _, Mac, TCP, Tuple, UDP, V4, V6, join, split},
    flow::control::Control,
    layout::{MAX_BACKENDS, MAX_RETRIES, mac_difference, mac_from_word, mac_with, with_mac},
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
    /// MAC address of the client, then the lower two bytes of the backend.
    client: Shared<u64>,
    /// Our MAC address, then a byte whose lowest bit is the protocol ([`UDP_BIT`]), whose next two are the
    /// [`Forwarding`], whose three after those count the moves ([`ATTEMPTS`]) and whose next one is [`SPLICED`], then the
    /// backend's third byte.
    own: Shared<u64>,
    /// The four ports: source, destination, new source, new destination.
    ports: Shared<u64>,
    src: A::Cell,
    dst: A::Cell,
    to_src: A::Cell,
    to_dst: A::Cell,
}

const _: () = assert!(size_of::<Entry<V4>>() == 64 && size_of::<Entry<V6>>() == 128);

/// Set for UDP, not for TCP: the lowest bit of either's number.
const UDP_BIT: u8 = 1;

/// Where the [`Forwarding`] stands in the byte of the protocol.
const FORWARDING_SHIFT: u32 = 1;

/// The partner of an entry that has none, since answers do not come by here: no entry stands there.
pub const NO_PARTNER: u32 = u32::MAX;

/// How often the flow was moved before it was answered: where in the byte, and how much of it.
const ATTEMPTS_SHIFT: u32 = 3;
const ATTEMPTS: u8 = MAX_RETRIES << ATTEMPTS_SHIFT;

/// Set where the two ends count by different sequence numbers, since a SYN cookie stood for the backend's.
const SPLICED: u8 = 1 << 6;

const _: () = assert!(MAX_RETRIES == 0b111, "an entry has three bits for moves");
const _: () = assert!(TCP & UDP_BIT == 0 && UDP & UDP_BIT == UDP_BIT);
const _: () = assert!(MAX_BACKENDS <= 1 << 24, "an entry has three bytes for a backend");

/// What is done to the packets of one direction: an entry's content as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow<A> {
    /// What the packets carry.
    pub key: Tuple<A>,
    /// What they leave with.
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
    /// How often it was moved to another backend before it was answered, at most [`MAX_RETRIES`].
    pub attempts: u8,
    /// The SYN cookie that opened it, which the client takes for the backend's initial sequence number; 0: it has the
    /// backend's own. Of an entry whose backend has answered, what [`Entry::ack`] says.
    pub cookie: u32,
}

/// The way to a client: the way that its last packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Interface that its packets come in by.
    pub interface: u32,
    /// MAC address that they come from.
    pub mac: Mac,
    /// MAC address that they come to.
    pub own_mac: Mac,
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
    pub fn is_of(&self, key: &Tuple<A>, protocol: u8) -> bool {
        let (ports, _) = split(self.ports.load());
        (self.kind() ^ protocol) & UDP_BIT == 0
            && ports == key.ports()
            && self.src.load() == key.src
            && self.dst.load() == key.dst
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
        Tuple::new(self.src.load(), self.dst.load(), ports)
    }

    /// What its packets leave with.
    #[inline(always)]
    #[must_use]
    pub fn to(&self) -> Tuple<A> {
        let (_, ports) = split(self.ports.load());
        Tuple::new(self.to_src.load(), self.to_dst.load(), ports)
    }

    /// The backend.
    #[inline(always)]
    #[must_use]
    pub fn backend(&self) -> u32 {
        let ([.., first, second], [.., third]) =
            (self.client.load().to_ne_bytes(), self.own.load().to_ne_bytes());
        u32::from_le_bytes([first, second, third, 0])
    }

    /// The protocol.
    #[inline(always)]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        if self.kind() & UDP_BIT == 0 { TCP } else { UDP }
    }

    /// What is done to the packets.
    #[inline(always)]
    #[must_use]
    pub fn forwarding(&self) -> Forwarding {
        Forwarding::from_bits(self.kind() >> FORWARDING_SHIFT)
    }

    /// How often it was moved to another backend before it was answered.
    #[inline(always)]
    #[must_use]
    pub fn attempts(&self) -> u8 {
        (self.kind() & ATTEMPTS) >> ATTEMPTS_SHIFT
    }

    /// Whether the two ends count by different sequence numbers.
    #[inline(always)]
    #[must_use]
    pub fn is_spliced(&self) -> bool {
        self.kind() & SPLICED != 0
    }

    /// The byte that tells protocol, forwarding, how often the flow was moved, and whether it is spliced.
    #[inline(always)]
    fn kind(&self) -> u8 {
        let [.., kind, _] = self.own.load().to_ne_bytes();
        kind
    }

    /// The interface that the client's packets come in by.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface.load()
    }

    /// The MAC addresses of packets to the client.
    #[inline(always)]
    #[must_use]
    pub fn link_to_client(&self) -> Link {
        Link {
            dst: self.client.load(),
            src: self.own.load(),
        }
    }

    /// The way to the client.
    #[inline(always)]
    #[must_use]
    pub fn client(&self) -> Client {
        Client {
            interface: self.interface.load(),
            mac: mac_from_word(self.client.load()),
            own_mac: mac_from_word(self.own.load()),
        }
    }

    /// Whether a frame with these MAC addresses, each in the first six bytes of a word, has come the client's way.
    #[inline(always)]
    #[must_use]
    pub fn leads_to(&self, interface: u32, mac: u64, own_mac: u64) -> bool {
        let difference = mac_difference(self.client.load(), mac) | mac_difference(self.own.load(), own_mac);
        difference == 0 && self.interface.load() == interface
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
        Flow {
            key: self.key(),
            to: self.to(),
            protocol: self.protocol(),
            forwarding: self.forwarding(),
            backend: self.backend(),
            client: self.client(),
            partner: self.partner(),
            attempts: self.attempts(),
            cookie: if self.is_spliced() { self.ack.load() } else { 0 },
        }
    }

    /// Fills an entry that is claimed.
    #[inline(always)]
    pub(super) fn fill(&self, flow: &Flow<A>) {
        self.ports.store(join(flow.key.ports(), flow.to.ports()));
        self.src.store(flow.key.src);
        self.dst.store(flow.key.dst);
        self.to_src.store(flow.to.src);
        self.to_dst.store(flow.to.dst);
        self.partner.store(flow.partner);
        let [first, second, third, _] = flow.backend.to_le_bytes();
        let Client { mac, own_mac, .. } = flow.client;
        self.client.store(mac_with(mac, [first, second]));
        let kind = flow.protocol & UDP_BIT
            | (flow.forwarding as u8) << FORWARDING_SHIFT
            | flow.attempts << ATTEMPTS_SHIFT & ATTEMPTS
            | if flow.cookie == 0 { 0 } else { SPLICED };
        self.own.store(mac_with(own_mac, [kind, third]));
        self.interface.store(flow.client.interface);
        self.ack.store(flow.cookie);
    }

    /// Changes the way to the client in an entry that is claimed.
    #[inline(always)]
    pub(super) fn lead(&self, client: &Client) {
        self.client.store(with_mac(self.client.load(), client.mac));
        self.own.store(with_mac(self.own.load(), client.own_mac));
        self.interface.store(client.interface);
    }
}
