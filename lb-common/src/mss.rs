//! The largest segment that a SYN asks for.

use crate::{
    checksum::Sum,
    packet::Packet,
    parse::{self, Parse, Place, Segment},
    reason::Reason,
    rewrite::is_unfinished,
    tables::Tables,
    wire::TcpHeader,
};

/// Options that are looked at; systems that have a word on it have it among the first.
const OPTIONS: u32 = 10;

/// The option's kind (RFC 9293 3.1).
const KIND: u8 = 2;

/// Where the checksum stands in a TCP header.
const CHECK: usize = 16;

/// Makes a SYN ask for segments that fit IP packets of `most` bytes, if it asks for larger ones. (RFC 9293 3.7.1: the
/// option does not count IP and TCP options.)
#[inline(always)]
pub(crate) fn clamp<A: Parse, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    most: u32,
) -> Result<(), Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let segment = parse::noted::<A>(packet, Place::noted(tables)?)?;
    let headers = A::HEADER_LEN.wrapping_add(size_of::<TcpHeader>());
    let most = (most as usize).saturating_sub(headers);
    let most = u16::try_from(most).unwrap_or(u16::MAX);
    let Some(place) = find(packet, &segment, settings.zero.load() as usize) else {
        return Ok(());
    };
    let value = packet
        .header_mut::<[u8; 2]>(segment.offset.wrapping_add(place))
        .ok_or(Reason::Malformed)?;
    if u16::from_be_bytes(*value) <= most {
        return Ok(());
    }
    let (old, new) = (*value, most.to_be_bytes());
    *value = new;
    // One that nobody finishes here covers the pseudo-header alone.
    if tables.keeps_partial_checksum(settings) && is_unfinished(&segment) {
        return Ok(());
    }
    let update = Sum::ZERO
        .add_bytes(paired(old, place))
        .replaced_by(Sum::ZERO.add_bytes(paired(new, place)));
    let check = update.in_checksum(segment.check);
    *packet
        .header_mut::<[u8; 2]>(segment.offset.wrapping_add(CHECK))
        .ok_or(Reason::Malformed)? = check.to_ne_bytes();
    Ok(())
}

/// The size of segments that a SYN asks for, if it does. `zero` is [`crate::layout::Settings::zero`].
#[inline(always)]
pub(crate) fn asked<A>(packet: &Packet<'_>, segment: &Segment<A>, zero: usize) -> Option<u16> {
    let place = find(packet, segment, zero)?;
    let value = packet.header::<[u8; 2]>(segment.offset.wrapping_add(place))?;
    Some(u16::from_be_bytes(*value))
}

/// The option that asks for segments of `size` bytes.
#[inline(always)]
pub(crate) const fn option(size: u16) -> [u8; 4] {
    let [high, low] = size.to_be_bytes();
    [KIND, 4, high, low]
}

/// Two bytes as a checksum takes them: what begins at an odd place is the second of one pair and the first of another.
#[inline(always)]
const fn paired(bytes: [u8; 2], place: usize) -> [u8; 2] {
    let [first, second] = bytes;
    if place & 1 == 0 { bytes } else { [second, first] }
}

/// Where in the TCP header the option's value stands. `zero` is [`crate::layout::Settings::zero`]: what it is added to is
/// unknown to the verifier again, which else would follow the rest of the program once for each place.
#[inline(always)]
fn find<A>(packet: &Packet<'_>, segment: &Segment<A>, zero: usize) -> Option<usize> {
    /// Kinds of options (RFC 9293 3.1).
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    /// No TCP header is longer than its four bits can say.
    const PLACES: usize = 0x3f;

    let header = packet.header::<TcpHeader>(segment.offset)?;
    let end = usize::from(header.data_offset & 0xf0) >> 2;
    let mut place = size_of::<TcpHeader>();
    for _ in 0..OPTIONS {
        // Each option but two has its length behind its kind, which counts both.
        if place.wrapping_add(2) > end {
            return None;
        }
        let [kind, length] = *packet.header::<[u8; 2]>(segment.offset.wrapping_add(place))?;
        let next = match kind {
            END => return None,
            NOTHING => 1,
            KIND if place.wrapping_add(4) <= end => return Some(place.wrapping_add(2)),
            _ if length < 2 => return None,
            _ => usize::from(length),
        };
        place = place.wrapping_add(next).wrapping_add(zero) & PLACES;
    }
    None
}
