//! Records of the tables. Their layout is shared with a running packet path: whoever changes one raises
//! [`VERSION`].

use crate::{address::Mac, shared::Shared};

/// Version of all layouts together; a daemon adopts only tables of its own version.
pub const VERSION: u32 = 5;

/// The most backends that tables have rows for. An entry of the flow table has 24 bits for a row.
pub const MAX_BACKENDS: u32 = 1 << 20;

/// Room for reasons in [`PacketCounters`], a whole number of cache lines.
pub const MAX_REASONS: usize = 60;

/// What every packet needs to know; one record.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Settings {
    /// [`VERSION`], written last: 0 while the tables are not set up.
    pub version: Shared<u32>,
    /// Buckets of the IPv4 flow table less one; their count is a power of two.
    pub bucket_mask_v4: Shared<u32>,
    /// Buckets of the IPv6 flow table less one; their count is a power of two.
    pub bucket_mask_v6: Shared<u32>,
    /// Slots of the service index less one; their count is a power of two.
    pub service_mask: Shared<u32>,
    /// Secret of the flow table's hash, so that nobody outside can aim at one bucket.
    pub seed: Shared<u64>,
    /// First source port of the full-NAT pool, host order.
    pub pool_first: Shared<u16>,
    /// Ports in the pool.
    pub pool_count: Shared<u16>,
    /// What to do with checksums that a sender left unfinished: [`COMPLETE_PARTIAL`] or [`KEEP_PARTIAL`].
    pub partial_checksums: Shared<u32>,
    /// Backends that the counters of one worker have room for.
    pub backend_capacity: Shared<u32>,
    /// Always 0, which neither compiler nor verifier knows.
    pub zero: Shared<u32>,
    /// When a daemon last looked after the tables, in milliseconds since the Unix epoch. Not for packets: the next
    /// daemon tells by it for how long nobody has checked the backends.
    pub tended: Shared<u64>,
    /// Ticks of a second; written when a daemon sets the tables up.
    pub second: Shared<u32>,
    /// Whether pings of virtual addresses are answered: 0 or [`ANSWER_ECHO`].
    pub echo: Shared<u32>,
    /// Cookie of the network namespace whose processes' connections find services; 0: none has it.
    pub namespace: Shared<u64>,
}

impl Settings {
    /// Ticks after which a SYN on a flow that nobody has answered is the client's second, and not the network's copy of
    /// its first: a fifth of a second. Clients wait for a second (RFC 6298 2.1); copies come within milliseconds.
    #[inline(always)]
    #[must_use]
    pub fn soonest_retry(&self) -> u32 {
        self.second.load() / 5
    }

    /// Ticks for which a flow that has not opened is left alone where room is needed: half a second. An answer from the
    /// other side of the world and back takes less.
    #[inline(always)]
    #[must_use]
    pub fn youth(&self) -> u32 {
        self.second.load() / 2
    }
}

/// Finish the checksum: nobody after us will (native XDP).
pub const COMPLETE_PARTIAL: u32 = 0;
/// Leave it unfinished: whoever sends the packet on still knows that it is (generic XDP keeps the skb).
pub const KEEP_PARTIAL: u32 = 1;

/// Answer pings of virtual addresses.
pub const ANSWER_ECHO: u32 = 1;

/// Per port number, who might want a packet that carries it. The cheap look-up that comes first.
#[repr(C)]
pub struct PortFilter {
    /// Bits [`PortFilter::TCP`], [`PortFilter::UDP`] and [`PortFilter::BY_SOURCE`] by destination port in host order.
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
}

/// A slot of the service index: an open-addressed hash table from virtual address to [`Service`].
#[derive(Debug, Default)]
#[repr(C)]
pub struct ServiceSlot {
    /// Virtual address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
    /// A [`crate::service::SlotKey`]: in use, protocol, port and service; written last.
    pub key: Shared<u64>,
}

/// A service's part of the choice table for one address family.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Service {
    /// A [`Span`] of slots. Count 0: no backend is up.
    pub choices: Shared<u64>,
    /// How many flows were given out in turn, for schedulers that take turns.
    pub turn: Shared<u64>,
    /// Flows that are active, over all backends.
    pub active: Shared<u64>,
    /// The most that may be; 0: no limit.
    pub maxconn: Shared<u32>,
    /// How a backend is chosen: [`Service::MAGLEV`] or another. Whichever stands here finds backends in any slots.
    pub scheduler: Shared<u32>,
    /// The [`Span`] of slots that is the service's, of which `choices` are as many as it takes. Not for packets: the
    /// next daemon tells by it which slots are taken.
    pub slots: Shared<u64>,
    /// A [`crate::manner::Forwarding`]: what is done to its packets.
    pub forwarding: Shared<u32>,
    reserved: [u32; 3],
}

impl Service {
    /// By a hash of the flow's key.
    pub const MAGLEV: u32 = 0;
    /// By a hash of the client's address.
    pub const SOURCE: u32 = 1;
    /// One slot after the other.
    pub const ROUND_ROBIN: u32 = 2;
    /// The backend with the fewest active flows for its weight.
    pub const LEAST_CONN: u32 = 3;
}

/// Two slots of the choice table: indices of backends. The kernel gives each value of an array eight bytes.
#[derive(Debug, Default)]
#[repr(C, align(8))]
pub struct ChoiceWord {
    /// The slots.
    pub slots: [Shared<u32>; ChoiceWord::SLOTS as usize],
}

impl ChoiceWord {
    /// Slots of a word: a power of two.
    pub const SLOTS: u32 = 2;
}

/// Rows of a table that lie next to each other; one word in table memory, so that both ends change at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First row.
    pub first: u32,
    /// Count of rows.
    pub count: u32,
}

impl Span {
    /// As it stands in table memory: the first row in the upper half, the count in the lower.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        (self.first as u64) << 32 | self.count as u64
    }

    /// The inverse of [`Span::to_word`].
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
    pub const fn from_word(word: u64) -> Self {
        Self {
            first: (word >> 32) as u32,
            count: word as u32,
        }
    }
}

/// A backend of a service.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Backend {
    /// Bit 0, [`Backend::HOP`]: which of `hops` is in force. A new next hop is written beside the old one, then this is
    /// switched. Bit 1, [`Backend::ENDS`]: flows to the backend end at their client's next packet.
    pub hop: Shared<u32>,
    /// A [`crate::manner::Manner`]: how packets reach it.
    pub manner: Shared<u32>,
    /// Next hop in force, and the one before or after it.
    pub hops: [Hop; 2],
    /// Address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
    /// A [`Span`] of source addresses for full NAT and for the outside of tunnels.
    pub sources: Shared<u64>,
    /// Port in network order (as it lies in memory).
    pub port: Shared<u16>,
    /// Row of its [`Service`] plus one; 0 while the row is nobody's. Not for packets: the next daemon tells by it,
    /// the address and the port whose row this is.
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
    /// MAC address of the next hop, in the first six bytes as they lie in memory; all 0: unknown.
    pub peer: Shared<u64>,
    /// Our MAC address towards it.
    pub own: Shared<u64>,
    /// Interface towards it.
    pub interface: Shared<u32>,
    /// Longest IP packet that the way there takes, in bytes; 0: unknown, and none is too long.
    pub mtu: Shared<u32>,
}

/// An address to put as source in full NAT, or outside in a tunnel.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Source {
    /// The address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
}

/// What one stage of a packet's way leaves for the next. One per worker: nobody else runs there before the packet's way
/// has ended.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Note {
    /// The backend of the packet's flow.
    pub backend: Shared<u32>,
    /// A hash of the packet's flow, for what is to differ between flows and not within one.
    pub hash: Shared<u32>,
    /// Not 0 if the packet opens a TCP connection.
    pub opens: Shared<u32>,
    /// The backend that the flow is moved away from, plus one; 0: it is a new flow. Whoever chooses takes it.
    pub avoided: Shared<u32>,
    /// How often the flow was moved.
    pub attempts: Shared<u32>,
    /// Where the packet's headers are: a [`crate::parse::Place`].
    pub place: Shared<u32>,
    /// For a number that passes through memory within a stage, lest the verifier know more of it than it should.
    pub opaque: Shared<u64>,
    /// What the packet's sender is to be told: the length in bytes that it exceeds, or 0 for its TTL.
    pub mtu: Shared<u32>,
    /// Pings answered.
    pub echoes: Allowance,
    /// ICMP errors sent.
    pub errors: Allowance,
    reserved: [u32; 3],
}

impl Note {
    /// Notes for whoever chooses that a flow is moved for the `attempts`th time, away from a backend.
    #[inline(always)]
    pub fn moves(&self, backend: u32, attempts: u8) {
        self.avoided.store(backend.wrapping_add(1));
        self.attempts.store(u32::from(attempts));
    }

    /// The backend that the flow is moved away from, if it is; the next flow is a new one again.
    #[inline(always)]
    #[must_use]
    pub fn take_avoided(&self) -> Option<u32> {
        let avoided = self.avoided.load().checked_sub(1);
        match avoided {
            Some(_) => self.avoided.store(0),
            None => self.attempts.store(0),
        }
        avoided
    }
}

/// How often something was done in the current second; see `rate::allows`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Allowance {
    /// When the second began, in ticks.
    pub since: Shared<u32>,
    /// How often since then.
    pub used: Shared<u32>,
}

/// Rows of [`Datagrams`]: a power of two.
pub const DATAGRAM_ROWS: u32 = 1024;

/// The datagrams that one row remembers for their fragments.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Datagrams(pub [Datagram; 4]);

/// A datagram that comes in fragments, of which the first alone has its ports. One cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Datagram {
    /// Raised by two with each change; odd while it is being changed, 0 while the row was never used.
    pub version: Shared<u64>,
    /// Source address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub src: [Shared<u64>; 2],
    /// Destination address.
    pub dst: [Shared<u64>; 2],
    /// Its identification, then eight bits for the protocol.
    pub name: Shared<u64>,
    /// Source and destination port as they lie in memory.
    pub ports: Shared<u32>,
    /// When its first fragment came, in ticks.
    pub seen: Shared<u32>,
    reserved: u64,
}

/// Packets of one worker (a CPU, or a thread of a userspace engine) by what became of them.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct PacketCounters {
    /// By verdict, see [`crate::Verdict::index`].
    pub verdicts: [Shared<u64>; 4],
    /// By reason, see [`crate::Reason::ALL`].
    pub reasons: [Shared<u64>; MAX_REASONS],
}

/// Traffic of a backend by one worker.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct BackendCounters {
    /// Packets from clients.
    pub packets_in: Shared<u64>,
    /// Bytes from clients, from Ethernet header to end.
    pub bytes_in: Shared<u64>,
    /// Packets to clients.
    pub packets_out: Shared<u64>,
    /// Bytes to clients, from Ethernet header to end.
    pub bytes_out: Shared<u64>,
    /// Flows that began.
    pub flows_opened: Shared<u64>,
    /// Flows that ended; those open less those closed, over all workers, are active.
    pub flows_closed: Shared<u64>,
    /// Flows that were moved to another backend since this one did not answer (`HAProxy`'s `wretr`); they count as
    /// closed here.
    pub retried: Shared<u64>,
    /// SYNs that it answered with RST.
    pub refused: Shared<u64>,
}

const _: () = {
    assert!(size_of::<Settings>() == 64);
    assert!(size_of::<PortFilter>() == 131_072);
    assert!(size_of::<ServiceSlot>() == 24);
    assert!(size_of::<Service>() == 64);
    assert!(size_of::<ChoiceWord>() == 8);
    assert!(size_of::<Hop>() == 24);
    assert!(size_of::<Backend>() == 128);
    assert!(size_of::<Source>() == 16);
    assert!(size_of::<Note>() == 64);
    assert!(size_of::<Datagram>() == 64);
    assert!(size_of::<PacketCounters>() == 512);
    assert!(size_of::<BackendCounters>() == 64);
    assert!(crate::Reason::ALL.len() <= MAX_REASONS);
};

/// A MAC address in the first six bytes of a word.
#[inline(always)]
#[must_use]
pub const fn mac_to_word(mac: Mac) -> u64 {
    mac_with(mac, [0, 0])
}

/// A MAC address and two bytes more in a word.
#[inline(always)]
pub(crate) const fn mac_with(mac: Mac, last: [u8; 2]) -> u64 {
    let ([m0, m1, m2, m3, m4, m5], [m6, m7]) = (mac, last);
    u64::from_ne_bytes([m0, m1, m2, m3, m4, m5, m6, m7])
}

/// A word with another MAC address in its first six bytes.
#[inline(always)]
pub(crate) const fn with_mac(word: u64, mac: Mac) -> u64 {
    let [.., m6, m7] = word.to_ne_bytes();
    mac_with(mac, [m6, m7])
}

/// The twelve bytes of two MAC addresses, each in the first six bytes of a word: whole words, which are stored at once.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the four bytes that are left")]
pub(crate) const fn mac_pair(first: u64, second: u64) -> ([u8; 8], [u8; 4]) {
    if cfg!(target_endian = "little") {
        let head = first & 0xffff_ffff_ffff | second << 48;
        (head.to_ne_bytes(), ((second >> 16) as u32).to_ne_bytes())
    } else {
        let head = first & !0xffff | second >> 48;
        (head.to_ne_bytes(), ((second >> 16) as u32).to_ne_bytes())
    }
}

/// 0 if both words hold the same MAC address, whatever their other two bytes.
#[inline(always)]
pub(crate) const fn mac_difference(one: u64, other: u64) -> u64 {
    if cfg!(target_endian = "little") {
        (one ^ other) << 16
    } else {
        (one ^ other) >> 16
    }
}

/// The inverse of [`mac_to_word`].
#[inline(always)]
#[must_use]
pub const fn mac_from_word(word: u64) -> Mac {
    let [m0, m1, m2, m3, m4, m5, _, _] = word.to_ne_bytes();
    [m0, m1, m2, m3, m4, m5]
}
