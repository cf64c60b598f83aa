//! From bytes to a [`Segment`]: nothing is written here.

use crate::{
    address::{Address, TCP, Tuple, UDP, V4, V6},
    hint::{likely, unlikely},
    layout::Note,
    opaque,
    packet::Packet,
    reason::{OrRefuse as _, Reason, seldom},
    tables::Tables,
    wire::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, EthernetHeader, Ipv4Hdr, Ipv6Hdr,
        TcpHeader, UdpHdr,
    },
};

/// A TCP segment or UDP datagram in its frame.
#[derive(Debug, Clone, Copy)]
pub struct Segment<A> {
    /// Addresses and ports.
    pub tuple: Tuple<A>,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TCP flags; 0 for UDP.
    pub flags: u8,
    /// TCP acknowledgement number, as it lies in memory; 0 for UDP.
    pub ack: u32,
    /// Where the IP header begins in the frame.
    pub network: usize,
    /// Where the TCP or UDP header begins in the frame.
    pub offset: usize,
    /// Length of that header and its data, as the IP header says.
    pub length: u16,
    /// The checksum field, as it lies in memory.
    pub check: u16,
    /// How much of it the frame holds.
    pub part: Part,
}

impl<A: Address> Segment<A> {
    /// Where its headers are.
    #[inline(always)]
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            network: self.network,
            offset: self.offset,
            protocol: self.protocol,
            is_v6: A::IS_V6,
        }
    }
}

/// How much of a segment or datagram a frame holds.
///
/// Not an enum, whose unused values would tell a [`Segment`] from an error in its place: LLVM then stores words of the
/// segment in pieces, at odd places of the stack, which BPF does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part(u8);

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self(0);
    /// The first fragment: the header and what else there was room for.
    pub const FIRST: Self = Self(1);
    /// A later fragment: no header.
    pub const LATER: Self = Self(2);

    /// The same, with a zero added that the verifier does not know for one.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it is 0")]
    pub(crate) const fn hidden(self, zero: usize) -> Self {
        Self(self.0.wrapping_add(zero as u8))
    }
}

/// What IP header a frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A frame that is not an IP header with TCP or UDP right behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPlain {
    /// ICMP of the family.
    Icmp,
    /// What it is shows after a longer look: tags, extension headers, fragments.
    Unusual,
    /// Not to be forwarded.
    Refused(Reason),
}

impl From<Reason> for NotPlain {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// What the Ethernet header says.
#[inline(always)]
pub fn network(packet: &Packet<'_>) -> Result<Network, NotPlain> {
    let header = packet.header::<EthernetHeader>(0).or_refuse(Reason::Malformed)?;
    // Words: of pairs of bytes LLVM makes a tree of comparisons of single bytes.
    let is = |ether_type| u16::from_ne_bytes(header.ether_type) == u16::from_ne_bytes(ether_type);
    if likely(is(ETHERTYPE_IPV4)) {
        return Ok(Network::V4);
    }
    // LLVM would halve what is left to compare with first.
    opaque::apart();
    if is(ETHERTYPE_IPV6) {
        Ok(Network::V6)
    } else if is(ETHERTYPE_VLAN) || is(ETHERTYPE_QINQ) {
        Err(seldom(NotPlain::Unusual))
    } else {
        Err(seldom(Reason::NotIp).into())
    }
}

/// The family's part of parsing.
pub trait Parse: Address {
    /// Parses the IP header and what it carries.
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, NotPlain>
    where
        Self: Sized;

    /// Parses the IP header that begins at `network`, and nothing that it carries.
    fn carried(packet: &Packet<'_>, network: usize) -> Result<Carried<Self>, Reason>
    where
        Self: Sized;
}

/// What an IP header says of its payload.
#[derive(Debug, Clone, Copy)]
pub struct Carried<A> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Protocol, or next header.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Where the header begins in the frame.
    pub network: usize,
    /// Where what it carries begins in the frame.
    pub offset: usize,
    /// Length of that in bytes.
    pub length: u16,
    /// Flags and fragment offset, as IPv4 has them in its header; 0 for IPv6.
    pub fragmentation: u16,
    /// By which IPv4 knows a datagram's fragments; 0 for IPv6.
    pub id: u16,
}

/// More Fragments, or an offset (RFC 791 3.1).
pub(crate) const FRAGMENTED: u16 = 0x3fff;

impl Parse for V4 {
    #[inline(always)]
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, NotPlain> {
        /// Version 4, and a header of five words: without options.
        const PLAIN: u8 = 0x45;

        let header = packet
            .header::<Ipv4Hdr>(EthernetHeader::LEN)
            .or_refuse(Reason::Malformed)?;
        // Where all that follows is at places that the compiler knows. Of the rest the detour makes out what it is.
        if unlikely(header.vihl != PLAIN) || unlikely(u16::from_be_bytes(header.frags) & FRAGMENTED != 0) {
            return Err(seldom(NotPlain::Unusual));
        }
        transport(packet, &Self::said_by(header, EthernetHeader::LEN)?, Part::WHOLE)
    }

    #[inline(always)]
    fn carried(packet: &Packet<'_>, network: usize) -> Result<Carried<Self>, Reason> {
        let header = packet.header::<Ipv4Hdr>(network).or_refuse(Reason::Malformed)?;
        Self::said_by(header, network)
    }
}

impl V4 {
    /// What a header says of its payload.
    #[inline(always)]
    fn said_by(header: &Ipv4Hdr, network: usize) -> Result<Carried<Self>, Reason> {
        /// The least that a header's length may be (RFC 791 3.1).
        const LEAST: u16 = 20;

        let header_length = u16::from(header.vihl & 0x0f) << 2;
        let total = u16::from_be_bytes(header.tot_len);
        if unlikely(total < header_length) {
            return Err(seldom(Reason::Malformed));
        }
        let length = total.wrapping_sub(header_length);
        if header.vihl >> 4 != 4 || header_length < LEAST {
            return Err(seldom(Reason::Malformed));
        }
        Ok(Carried {
            src: Self(header.src_addr),
            dst: Self(header.dst_addr),
            protocol: header.proto,
            ttl: header.ttl,
            network,
            offset: network.wrapping_add(usize::from(header_length)),
            length,
            fragmentation: u16::from_be_bytes(header.frags),
            id: u16::from_be_bytes(header.id),
        })
    }
}

impl Parse for V6 {
    #[inline(always)]
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, NotPlain> {
        let carried = Self::carried(packet, EthernetHeader::LEN)?;
        let next = carried.protocol;
        let extended = next == extension::HOP_BY_HOP
            || next == extension::ROUTING
            || next == extension::FRAGMENT
            || next == extension::AUTHENTICATION
            || next == extension::OPTIONS;
        if extended {
            return Err(seldom(NotPlain::Unusual));
        }
        transport(packet, &carried, Part::WHOLE)
    }

    #[inline(always)]
    fn carried(packet: &Packet<'_>, network: usize) -> Result<Carried<Self>, Reason> {
        let header = packet.header::<Ipv6Hdr>(network).or_refuse(Reason::Malformed)?;
        let [first, ..] = header.vcf;
        if first >> 4 != 6 {
            return Err(seldom(Reason::Malformed));
        }
        Ok(Carried {
            src: Self::from_octets(header.src_addr),
            dst: Self::from_octets(header.dst_addr),
            protocol: header.next_hdr,
            ttl: header.hop_limit,
            network,
            offset: network.wrapping_add(Ipv6Hdr::LEN),
            length: u16::from_be_bytes(header.payload_len),
            fragmentation: 0,
            id: 0,
        })
    }
}

/// Numbers of IPv6 extension headers (RFC 8200 4, RFC 4302).
pub(crate) mod extension {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const OPTIONS: u8 = 60;
}

/// Parses the TCP or UDP header behind an IP header, of which a frame holds that part.
#[inline(always)]
pub(crate) fn transport<A: Address>(
    packet: &Packet<'_>,
    ip: &Carried<A>,
    part: Part,
) -> Result<Segment<A>, NotPlain> {
    let (segment, least) = header(packet, ip, part)?;
    // What IP says must hold what is said behind it, and the frame must hold what IP says.
    if unlikely(ip.length < least) || unlikely(!is_within(packet, ip)) {
        return Err(seldom(Reason::Malformed).into());
    }
    Ok(segment)
}

/// What a TCP or UDP header says, and how many bytes the IP header has to have said at least.
#[inline(always)]
fn header<A: Address>(
    packet: &Packet<'_>,
    ip: &Carried<A>,
    part: Part,
) -> Result<(Segment<A>, u16), NotPlain> {
    let (flags, ack, least, check) = match ip.protocol {
        protocol if likely(protocol == TCP) => {
            let header = packet
                .header::<TcpHeader>(ip.offset)
                .or_refuse(Reason::Malformed)?;
            // Header length in bytes: the upper half of the byte counts words of four.
            let least = u16::from(header.data_offset & 0xf0) >> 2;
            if unlikely(usize::from(least) < size_of::<TcpHeader>()) {
                return Err(seldom(Reason::Malformed).into());
            }
            let (ack, check) = (u32::from_ne_bytes(header.ack), u16::from_ne_bytes(header.check));
            (header.flags, ack, least, check)
        }
        UDP => {
            let header = packet.header::<UdpHdr>(ip.offset).or_refuse(Reason::Malformed)?;
            // Header and data (RFC 768). Of a whole packet IP may carry more than that, but no less.
            let said = u16::from_be_bytes(header.len);
            if unlikely(said < UDP_LEN) {
                return Err(seldom(Reason::Malformed).into());
            }
            let least = if part == Part::WHOLE { said } else { UDP_LEN };
            // LLVM would load both protocols' at once, from a place that it computes first.
            let check = opaque::number(usize::from(u16::from_ne_bytes(header.check))) as u64;
            (0, 0, least, (check & 0xffff) as u16)
        }
        other if other == A::ICMP => return Err(seldom(NotPlain::Icmp)),
        _ => return Err(seldom(Reason::NotTcpUdp).into()),
    };
    // Both begin with their ports.
    let ports = packet.header::<[u8; 4]>(ip.offset).or_refuse(Reason::Malformed)?;
    let segment = Segment {
        tuple: Tuple::new(ip.src, ip.dst, u32::from_ne_bytes(*ports)),
        protocol: ip.protocol,
        ttl: ip.ttl,
        flags,
        ack,
        network: ip.network,
        offset: ip.offset,
        length: ip.length,
        check,
        part,
    };
    Ok((segment, least))
}

/// Whether the frame holds all that the IP header says.
#[inline(always)]
pub(crate) fn is_within<A>(packet: &Packet<'_>, ip: &Carried<A>) -> bool {
    (ip.offset as u64).wrapping_add(u64::from(ip.length)) <= packet.len()
}

/// Length of a UDP header.
const UDP_LEN: u16 = 8;

/// Where a packet's headers begin, and what they are: what one stage has found and the next ones go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where the IP header begins in the frame.
    pub network: usize,
    /// Where the TCP or UDP header begins in the frame.
    pub offset: usize,
    /// Which of both.
    pub protocol: u8,
    /// Whether the IP header is one of IPv6.
    pub is_v6: bool,
}

impl Place {
    /// No header begins behind this: extension headers are walked over 256 bytes at most. A mask, for the verifier.
    pub(crate) const MOST: usize = 0x1ff;

    /// Nor does the IP header behind this: two tags are walked over at most.
    pub(crate) const MOST_NETWORK: usize = 0x1f;

    /// In its word: whether the IP header is one of IPv6.
    const IS_V6: u32 = 1 << 31;

    /// As it stands in table memory.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "neither is above `MOST`")]
    pub const fn to_word(self) -> u32 {
        let family = if self.is_v6 { Self::IS_V6 } else { 0 };
        self.network as u32 | (self.protocol as u32) << 8 | (self.offset as u32) << 16 | family
    }

    #[inline(always)]
    const fn from_word(word: u32) -> Self {
        let [network, protocol, ..] = word.to_le_bytes();
        Self {
            network: network as usize & Self::MOST_NETWORK,
            offset: (word >> 16) as usize & Self::MOST,
            protocol,
            is_v6: word & Self::IS_V6 != 0,
        }
    }

    /// The one that is noted.
    #[inline(always)]
    pub(crate) fn noted<T: Tables>(tables: &T) -> Result<Self, Reason> {
        Ok(Self::in_note(tables.note().or_refuse(Reason::NotReady)?))
    }

    /// The one in a note, for who looks at more of it.
    #[inline(always)]
    pub(crate) fn in_note(note: &Note) -> Self {
        Self::from_word(note.place.load())
    }
}

/// The source address of a packet that was placed, which a later fragment has too.
#[inline(always)]
pub(crate) fn noted_source<A: Parse>(packet: &Packet<'_>, place: Place) -> Result<A, Reason> {
    Ok(A::carried(packet, place.network)?.src)
}

/// Addresses, ports and protocol of a packet that was placed, which say what flow it is of: not more, since each thing more
/// that is asked of it are ways more for the verifier to follow.
#[inline(always)]
pub(crate) fn noted_key<A: Parse>(packet: &Packet<'_>, place: Place) -> Result<(Tuple<A>, u8), Reason> {
    let ip = A::carried(packet, place.network)?;
    // TCP and UDP both begin with them.
    let ports = packet
        .header::<[u8; 4]>(place.offset)
        .or_refuse(Reason::Malformed)?;
    let key = Tuple::new(ip.src, ip.dst, u32::from_ne_bytes(*ports));
    Ok((key, place.protocol))
}

/// Parses a packet that was placed.
#[inline(always)]
pub fn noted<A: Parse>(packet: &Packet<'_>, place: Place) -> Result<Segment<A>, Reason> {
    let Place { offset, protocol, .. } = place;
    let ip = A::carried(packet, place.network)?;
    // Of what the header carries, extension headers come first.
    let before = offset.wrapping_sub(ip.offset);
    let length = u64::from(ip.length).wrapping_sub(before as u64);
    let ip = Carried {
        protocol,
        offset,
        length: (length & 0xffff) as u16,
        ..ip
    };
    // Its lengths were found right when it was placed, and of a first fragment UDP says more than is there.
    match header(packet, &ip, Part::WHOLE) {
        Ok((segment, _)) => Ok(segment),
        Err(NotPlain::Refused(reason)) => Err(reason),
        Err(NotPlain::Icmp | NotPlain::Unusual) => Err(Reason::NotTcpUdp),
    }
}
