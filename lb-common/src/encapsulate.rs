//! Sending packets to their backends within others: IP in IP, or IP in UDP in IP.

use crate::{
    address::{Address, Marks, Port, UDP, V4, V6},
    hop,
    layout::{Backend, Hop, Note},
    link::Link,
    manner::Manner,
    mss,
    packet::{Packet, Wire},
    parse::{self, Network, Parse},
    process::{Exit, Outcome, Stage, conclude},
    reason::{OrRefuse as _, Reason, seldom},
    route, source,
    tables::Tables,
    verdict::Verdict,
    wire::{EthernetHeader, UdpHdr},
};

/// Length of a UDP header. GUE's variant 1 has no header of its own (draft-ietf-intarea-gue 4): what follows is IPv4 or
/// IPv6 by its first four bits.
const GUE: u16 = 8;

/// Wraps a packet of a flow, as the note says, and sends it.
#[inline(always)]
pub fn encapsulate<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let sent = match parse::network(packet) {
        Ok(Network::V4) => to_backend::<V4, T>(packet, tables),
        Ok(Network::V6) => to_backend::<V6, T>(packet, tables),
        // What has tags keeps them only where it stays on its own network.
        Err(_) => Err(Reason::Vlan),
    };
    conclude(
        tables,
        sent.map_err(|reason| match reason {
            Reason::TooBig => Exit::To(Stage::Error),
            other => Exit::Refused(other),
        }),
    )
}

/// Wraps a packet of the first family and sends it.
#[inline(always)]
fn to_backend<I, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Reason>
where
    I: Parse<Header: Wire>,
{
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let backend = note.backend.load();
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let hop = hop::in_force(record)?;
    let length = packet.len();
    if Manner(record.manner.load()).outer_is_v6() {
        put_in::<I, V6, T>(packet, tables, note, record, hop)?;
    } else {
        put_in::<I, V4, T>(packet, tables, note, record, hop)?;
    }
    let ways = (packet.interface(), hop.interface.load());
    Ok(route::send(tables, settings, (backend, false), length, ways))
}

/// Puts headers of the second family around a packet of the first, which asks for segments that fit if it opens a
/// connection.
#[inline(always)]
fn put_in<I, O, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    note: &Note,
    record: &Backend,
    hop: &Hop,
) -> Result<(), Reason>
where
    I: Parse<Header: Wire>,
    O: Address<Header: Wire>,
{
    let gue_port = Manner(record.manner.load()).gue_port();
    let hash = note.hash.load();
    let src = source::pick::<O, T>(tables, record, hash)?;
    let parties = (src, O::stored(&record.address));
    let outside = Outside::of::<I>(header(packet)?, parties, hash, gue_port);
    outside.check_length(tables, hop)?;
    if note.opens.load() != 0 {
        mss::clamp::<I, T>(packet, tables, outside.most(hop))?;
    }
    outside.wrap::<I, T>(packet, tables, hop)
}

/// The IP header of a packet without tags.
#[inline(always)]
pub(crate) fn header<'p, H: Wire>(packet: &'p Packet<'_>) -> Result<&'p H, Reason> {
    packet.header(EthernetHeader::LEN).or_refuse(Reason::Malformed)
}

/// How many bytes headers of a family add to a packet.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the length of an IP header")]
const fn overhead<O: Address>(gue_port: Option<Port>) -> u16 {
    let ip = O::HEADER_LEN as u16;
    match gue_port {
        Some(_) => ip.wrapping_add(GUE),
        None => ip,
    }
}

/// What the headers around a packet say.
pub(crate) struct Outside<O> {
    /// The balancer.
    src: O,
    /// The backend.
    dst: O,
    /// The packet's, where nothing is between it and the IP header.
    protocol: u8,
    /// Where a UDP header leads, if there is one.
    gue_port: Option<Port>,
    /// The packet's DSCP and ECN, and a hash of its flow.
    marks: Marks,
    /// The packet's length.
    length: u16,
}

impl<O: Address<Header: Wire>> Outside<O> {
    /// What the headers around a packet with that header say, from one address to another.
    #[inline(always)]
    pub(crate) fn of<I>(header: &I::Header, (src, dst): (O, O), hash: u32, gue_port: Option<Port>) -> Self
    where
        I: Address,
    {
        Self {
            src,
            dst,
            protocol: I::ENCAPSULATED,
            gue_port,
            marks: Marks {
                class: I::class(header),
                hash,
            },
            length: I::length(header),
        }
    }

    /// Refuses a packet that with these headers around is longer than its way takes, and notes how long it may be.
    #[inline(always)]
    pub(crate) fn check_length<T: Tables>(&self, tables: &T, hop: &Hop) -> Result<(), Reason> {
        let added = u32::from(overhead::<O>(self.gue_port));
        if hop.is_shorter_than(u64::from(self.length).wrapping_add(added.into())) {
            let note = tables.note().or_refuse(Reason::NotReady)?;
            note.mtu.store(self.most(hop));
            return Err(seldom(Reason::TooBig));
        }
        Ok(())
    }

    /// How long a packet may be for its way to take it with these headers around.
    #[inline(always)]
    fn most(&self, hop: &Hop) -> u32 {
        let most = match hop.mtu.load() {
            0 => u32::from(u16::MAX),
            known => known,
        };
        most.wrapping_sub(u32::from(overhead::<O>(self.gue_port)))
    }

    /// Puts them around the packet, which has one hop less to go, and the MAC addresses of its next hop before them.
    #[inline(always)]
    pub(crate) fn wrap<I, T: Tables>(
        &self,
        packet: &mut Packet<'_>,
        tables: &T,
        hop: &Hop,
    ) -> Result<(), Reason>
    where
        I: Address<Header: Wire>,
    {
        I::age(packet).or_refuse(Reason::Malformed)?;
        let added = overhead::<O>(self.gue_port);
        if !tables.resize(packet, 0_i32.wrapping_sub(i32::from(added)), 0) {
            return Err(seldom(Reason::NoHeadroom));
        }
        self.write(packet, hop.link()).or_refuse(Reason::Malformed)
    }

    /// Writes them into the room before the packet, behind these MAC addresses.
    #[inline(always)]
    fn write(&self, packet: &mut Packet<'_>, link: Link) -> Option<()> {
        let (protocol, carried) = match self.gue_port {
            Some(port) => {
                let carried = self.length.wrapping_add(GUE);
                let offset = EthernetHeader::LEN.wrapping_add(O::HEADER_LEN);
                *packet.header_mut(offset)? = datagram(self.marks.hash, port, carried);
                (UDP, carried)
            }
            None => (self.protocol, self.length),
        };
        *packet.header_mut(0)? = O::framed(link, (self.src, self.dst), protocol, carried, self.marks);
        Some(())
    }
}

/// The UDP header of a flow's datagrams. Its source port spreads flows over the receiver's queues (one of the dynamic
/// ports, RFC 6335), and it has no checksum: what it carries has its own (RFC 6935).
#[inline(always)]
fn datagram(hash: u32, to: Port, length: u16) -> UdpHdr {
    const DYNAMIC: u16 = 0xc000;

    UdpHdr {
        src: Port::new(DYNAMIC | (hash & 0x3fff) as u16).0,
        dst: to.0,
        len: length.to_be_bytes(),
        check: [0; 2],
    }
}
