//! From a frame's first tag to the last header before TCP or UDP.

use crate::{
    address::{V4, V6},
    packet::Packet,
    parse::{Carried, FRAGMENTED, Network, Parse, Part, Place, extension},
    reason::Reason,
    tables::Tables,
    wire::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, EthernetHeader},
};

/// Length of a tag (IEEE 802.1Q 9.3).
const TAG: usize = 4;

/// Extension headers that are walked over at most, and their bytes.
const MOST_HEADERS: usize = 6;
const MOST_BYTES: usize = 256;

/// The IP header, and where it begins: behind up to two tags.
#[inline(always)]
pub(crate) fn network<T: Tables>(packet: &Packet<'_>, tables: &T) -> Result<(Network, usize), Reason> {
    let (network, begin) = behind_tags(packet)?;
    Ok((network, begin.wrapping_add(zero(tables)?) & Place::MOST_NETWORK))
}

/// [`Settings::zero`](crate::layout::Settings::zero): what it is added to is unknown to the verifier again, which else
/// would follow the rest of the program once for each number of tags and headers.
#[inline(always)]
fn zero<T: Tables>(tables: &T) -> Result<usize, Reason> {
    Ok(tables.settings().ok_or(Reason::NotReady)?.zero.load() as usize)
}

#[inline(always)]
fn behind_tags(packet: &Packet<'_>) -> Result<(Network, usize), Reason> {
    for tags in 0..=2 {
        let network = EthernetHeader::LEN.wrapping_add(TAG.wrapping_mul(tags));
        let behind = network.wrapping_sub(size_of::<[u8; 2]>());
        match *packet.header::<[u8; 2]>(behind).ok_or(Reason::Vlan)? {
            ETHERTYPE_IPV4 => return Ok((Network::V4, network)),
            ETHERTYPE_IPV6 => return Ok((Network::V6, network)),
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => {}
            _ => return Err(Reason::Vlan),
        }
    }
    Err(Reason::Vlan)
}

/// What a packet carries behind all headers that are walked over.
pub(crate) struct Walked<A> {
    /// What it carries.
    pub(crate) carried: Carried<A>,
    /// How much of that is in the frame.
    pub(crate) part: Part,
    /// By which its fragments are known.
    pub(super) id: u32,
}

/// The family's part of walking.
pub(crate) trait Walk: Parse {
    /// Walks from the IP header on.
    fn walk<T: Tables>(packet: &Packet<'_>, tables: &T, network: usize) -> Result<Walked<Self>, Reason>
    where
        Self: Sized;
}

impl Walk for V4 {
    #[inline(always)]
    fn walk<T: Tables>(packet: &Packet<'_>, tables: &T, network: usize) -> Result<Walked<Self>, Reason> {
        const OFFSET: u16 = 0x1fff;

        let carried = Self::carried(packet, network)?;
        let part = match (carried.fragmentation & FRAGMENTED, carried.fragmentation & OFFSET) {
            (0, _) => Part::WHOLE,
            (_, 0) => Part::FIRST,
            _ => Part::LATER,
        };
        Ok(Walked {
            carried,
            part: part.hidden(zero(tables)?),
            id: u32::from(carried.id),
        })
    }
}

impl Walk for V6 {
    #[inline(always)]
    fn walk<T: Tables>(packet: &Packet<'_>, tables: &T, network: usize) -> Result<Walked<Self>, Reason> {
        let zero = zero(tables)?;
        let mut walked = Walked {
            carried: Self::carried(packet, network)?,
            part: Part::WHOLE,
            id: 0,
        };
        let first = walked.carried.offset;
        for _ in 0..MOST_HEADERS {
            let Some(length) = walked.step(packet)? else {
                return Ok(walked);
            };
            walked.part = walked.part.hidden(zero);
            let carried = &mut walked.carried;
            carried.length = carried.length.checked_sub(length).ok_or(Reason::Malformed)?;
            let offset = carried
                .offset
                .wrapping_add(usize::from(length))
                .wrapping_add(zero);
            if offset.wrapping_sub(first) > MOST_BYTES {
                return Err(Reason::ExtensionHeader);
            }
            carried.offset = offset & Place::MOST;
        }
        Err(Reason::ExtensionHeader)
    }
}

impl Walked<V6> {
    /// Takes the header at hand in; its length, `None` if it is not one to walk over.
    #[inline(always)]
    fn step(&mut self, packet: &Packet<'_>) -> Result<Option<u16>, Reason> {
        let kind = self.carried.protocol;
        if self.part != Part::WHOLE {
            // What comes behind a fragment header is in the first fragment only.
            return Ok(None);
        }
        if kind == extension::AUTHENTICATION {
            return Err(Reason::ExtensionHeader);
        }
        let walkable = kind == extension::HOP_BY_HOP
            || kind == extension::OPTIONS
            || kind == extension::ROUTING
            || kind == extension::FRAGMENT;
        if !walkable {
            return Ok(None);
        }
        let header = packet
            .header::<[u8; 8]>(self.carried.offset)
            .ok_or(Reason::Malformed)?;
        let [next, words, high, low, id @ ..] = *header;
        self.carried.protocol = next;
        if kind == extension::FRAGMENT {
            self.part = part(u16::from_be_bytes([high, low]));
            self.id = u32::from_ne_bytes(id);
            return Ok(Some(8));
        }
        // The fourth byte of a routing header says how many places are still to be visited (RFC 8200 4.4).
        if kind == extension::ROUTING && low != 0 {
            return Err(Reason::ExtensionHeader);
        }
        Ok(Some(u16::from(words).wrapping_add(1).wrapping_mul(8)))
    }
}

/// Offset and M flag of a fragment header (RFC 8200 4.5). Neither: a whole packet all the same (RFC 6946).
#[inline(always)]
const fn part(offset_and_more: u16) -> Part {
    match (offset_and_more & 0xfff8, offset_and_more & 1) {
        (0, 0) => Part::WHOLE,
        (0, _) => Part::FIRST,
        _ => Part::LATER,
    }
}
