//! Fragments: the first one's ports are remembered, and later ones go by them.
//!
//! Datagrams are kept in rows of four; the oldest of a row makes room. An entry is written by whoever makes its version
//! odd, and what was read of it is right if the version is the same afterwards. Who comes second to an entry does without:
//! its datagram is lost, as any may be.

use super::walk::Walked;
use crate::{
    address::{Address, AddressCell as _, TCP, Tuple, UDP, V6},
    hash,
    layout::{DATAGRAM_ROWS, Datagram, Settings},
    packet::Packet,
    parse::{self, NotPlain, Parse, Part, Segment},
    reason::Reason,
    service,
    tables::Tables,
};

/// For how many seconds fragments may follow the first: as long as Linux waits for them (`IP_FRAG_TIME`).
const LIFE: u32 = 30;

/// The segment or datagram that a packet is, or is a fragment of.
#[inline(always)]
pub(super) fn segment<A: Parse, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    walked: &Walked<A>,
) -> Result<Segment<A>, Reason> {
    let ip = &walked.carried;
    if walked.part == Part::LATER {
        return later(packet, tables, walked);
    }
    let segment = match parse::transport(packet, ip, walked.part) {
        Ok(segment) => segment,
        Err(NotPlain::Refused(reason)) => return Err(reason),
        Err(NotPlain::Icmp | NotPlain::Unusual) => return Err(Reason::NotTcpUdp),
    };
    if walked.part == Part::FIRST {
        // Where this fails, the later ones are lost.
        let _ = remember(tables, &key(walked), segment.tuple.ports());
    }
    Ok(segment)
}

/// A fragment without ports, with those that its first one had.
#[inline(always)]
fn later<A: Parse, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    walked: &Walked<A>,
) -> Result<Segment<A>, Reason> {
    let ip = &walked.carried;
    if ip.protocol != TCP && ip.protocol != UDP {
        return Err(Reason::NotTcpUdp);
    }
    if !parse::is_within(packet, ip) {
        return Err(Reason::Malformed);
    }
    let Some(ports) = recall(tables, &key(walked)) else {
        return Err(unknown(tables, ip.dst));
    };
    Ok(Segment {
        tuple: Tuple::new(ip.src, ip.dst, ports),
        protocol: ip.protocol,
        ttl: ip.ttl,
        flags: 0,
        ack: 0,
        network: ip.network,
        offset: ip.offset,
        length: ip.length,
        check: 0,
        part: Part::LATER,
    })
}

/// The ports of a segment or datagram that a packet is or is a fragment of, as they lie in memory; nothing is remembered.
#[inline(always)]
pub(crate) fn ports<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, walked: &Walked<A>) -> Option<u32> {
    if walked.part == Part::LATER {
        return recall(tables, &key(walked));
    }
    packet
        .header::<[u8; 4]>(walked.carried.offset)
        .map(|ports| u32::from_ne_bytes(*ports))
}

/// Why a fragment whose first one is not known is not forwarded.
#[inline(always)]
fn unknown<A: Address, T: Tables>(tables: &T, dst: A) -> Reason {
    let Some(settings) = tables.settings() else {
        return Reason::NotReady;
    };
    if service::is_virtual(tables, settings, dst) {
        Reason::FragmentUnknown
    } else {
        Reason::Fragment
    }
}

/// What a datagram's fragments have in common (RFC 791 3.2, RFC 8200 4.5): addresses, and [`Datagram::name`].
struct Key {
    src: V6,
    dst: V6,
    name: u64,
}

#[inline(always)]
fn key<A: Address>(walked: &Walked<A>) -> Key {
    let ip = &walked.carried;
    Key {
        src: ip.src.mapped(),
        dst: ip.dst.mapped(),
        name: u64::from(walked.id) << 8 | u64::from(ip.protocol),
    }
}

impl Key {
    /// Its row.
    #[inline(always)]
    fn row(&self, settings: &Settings) -> u32 {
        let (V6([a, b]), V6([c, d])) = (self.src, self.dst);
        let hash = hash::mix(hash::mix(settings.seed.load(), a), b);
        let hash = hash::mix(hash::mix(hash::mix(hash, c), d), self.name);
        hash::high(hash::finish(hash)) & (DATAGRAM_ROWS - 1)
    }

    #[inline(always)]
    fn is_of(&self, entry: &Datagram) -> bool {
        entry.name.load() == self.name && entry.src.load() == self.src && entry.dst.load() == self.dst
    }
}

/// Remembers a datagram's ports, in the place of the oldest of its row.
///
/// Neither this nor [`recall`] is inlined: fragments are rare, and the rest has the stack for itself.
#[inline(never)]
fn remember<T: Tables>(tables: &T, key: &Key, ports: u32) -> Option<()> {
    let settings = tables.settings()?;
    let row = tables.datagrams(key.row(settings))?;
    let now = tables.now();
    let (mut chosen, mut oldest) = (0, 0);
    for (place, entry) in (0..).zip(&row.0) {
        let unused = entry.version.load() == 0 || key.is_of(entry);
        let age = if unused {
            u32::MAX
        } else {
            now.wrapping_sub(entry.seen.load())
        };
        if age >= oldest {
            (chosen, oldest) = (place, age);
        }
    }
    let place = settings.zero.load().wrapping_add(chosen) & 3;
    write(row.0.get(place as usize)?, key, ports, now)
}

#[inline(always)]
fn write(entry: &Datagram, key: &Key, ports: u32, now: u32) -> Option<()> {
    let version = entry.version.load();
    if version & 1 != 0 || !entry.version.compare_exchange(version, version | 1) {
        return None;
    }
    entry.src.store(key.src);
    entry.dst.store(key.dst);
    entry.name.store(key.name);
    entry.ports.store(ports);
    entry.seen.store(now);
    entry.version.store(version.wrapping_add(2));
    Some(())
}

/// The ports of a datagram whose first fragment came not long ago.
#[inline(never)]
fn recall<T: Tables>(tables: &T, key: &Key) -> Option<u32> {
    let settings = tables.settings()?;
    let row = tables.datagrams(key.row(settings))?;
    for entry in &row.0 {
        let version = entry.version.load();
        if version & 1 != 0 || version == 0 || !key.is_of(entry) {
            continue;
        }
        let age = tables.now().wrapping_sub(entry.seen.load());
        let ports = entry.ports.load();
        let young = age <= settings.second.load().wrapping_mul(LIFE);
        return (young && entry.version.load() == version).then_some(ports);
    }
    None
}
