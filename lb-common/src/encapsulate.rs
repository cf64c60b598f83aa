//! Sending packets to their backends within others: IP in IP, or IP in UDP in IP.

use crate::{
    address::{Address, AddressCell, Port, UDP, V4, V6},
    hop,
    layout::Backend,
    link::Link,
    manner::Manner,
    mss,
    packet::{Packet, Wire},
    parse::{self, Network, Parse},
    process::{Exit, Outcome, conclude},
    reason::Reason,
    source,
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
        Err(reason) => Err(reason),
    };
    conclude(tables, sent.map_err(Exit::Refused))
}

/// Wraps a packet of the first family and sends it.
#[inline(always)]
fn to_backend<I, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Reason>
where
    I: Parse<Header: Wire>,
{
    let backend = tables.note().ok_or(Reason::NotReady)?.backend.load();
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let (hop, link) = hop::in_force(record)?;
    let length = packet.len();
    let most = hop.mtu.load();
    if Manner(record.manner.load()).outer_is_v6() {
        wrap::<I, V6, T>(packet, tables, record, most, link)?;
    } else {
        wrap::<I, V4, T>(packet, tables, record, most, link)?;
    }
    if let Some(settings) = tables.settings()
        && let Some(counters) = tables.backend_counters(settings, backend)
    {
        counters.packets_in.add(1);
        counters.bytes_in.add(length);
    }
    let interface = hop.interface.load();
    Ok(if interface == packet.interface() {
        Verdict::Tx
    } else {
        Verdict::Redirect(interface)
    })
}

/// Puts headers of the second family around a packet of the first, if it is then no longer than `most` bytes.
#[inline(always)]
fn wrap<I, O, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    record: &Backend,
    most: u32,
    link: Link,
) -> Result<(), Reason>
where
    I: Parse<Header: Wire>,
    O: Address<Header: Wire>,
{
    let note = tables.note().ok_or(Reason::NotReady)?;
    let hash = note.hash.load();
    let gue_port = Manner(record.manner.load()).gue_port();
    let header = packet
        .header::<I::Header>(EthernetHeader::LEN)
        .ok_or(Reason::Malformed)?;
    let (length, class) = (I::length(header), I::class(header));
    let added = O::HEADER_LEN.wrapping_add(if gue_port.is_some() { usize::from(GUE) } else { 0 });
    if u32::from(length).wrapping_add(added as u32) > most {
        return Err(Reason::PacketTooBig);
    }
    let ends = (
        source::pick::<O, T>(tables, record, hash)?,
        O::from_mapped(AddressCell::<V6>::load(&record.address)),
    );
    if note.opens.load() != 0 {
        mss::clamp::<I, T>(packet, tables, most.wrapping_sub(added as u32))?;
    }
    I::age(packet.header_mut(EthernetHeader::LEN).ok_or(Reason::Malformed)?);
    let moved = 0_i32.wrapping_sub(added as i32);
    if !tables.resize(packet, moved, 0) {
        return Err(Reason::NoHeadroom);
    }
    let (protocol, carried) = match gue_port {
        Some(port) => {
            let carried = length.wrapping_add(GUE);
            let offset = EthernetHeader::LEN.wrapping_add(O::HEADER_LEN);
            *packet.header_mut(offset).ok_or(Reason::Malformed)? = datagram(hash, port, carried);
            (UDP, carried)
        }
        None => (I::ENCAPSULATED, length),
    };
    let mut outer = O::header(ends.0, ends.1, protocol, carried);
    O::mark(&mut outer, class, hash);
    *packet
        .header_mut::<O::Header>(EthernetHeader::LEN)
        .ok_or(Reason::Malformed)? = outer;
    link.write(packet).ok_or(Reason::Malformed)?;
    *packet
        .header_mut::<[u8; 2]>(EthernetHeader::LEN - 2)
        .ok_or(Reason::Malformed)? = O::ETHER_TYPE;
    Ok(())
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
