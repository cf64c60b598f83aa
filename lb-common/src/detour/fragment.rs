//! Fragments: the first one's ports are remembered, and later ones go by them.
//!
//! Datagrams are kept in rows of an array, four of which each may have; the oldest makes room. A row is written by
//! whoever makes its version odd, and what was read of it is right if the version is the same afterwards. Who comes
//! second to a row does without: its datagram is lost as any may be.

use super::walk::Walked;
use crate::{
    address::{Address, AddressCell as _, TCP, Tuple, UDP},
    hash,
    layout::{DATAGRAMS, Datagram, Settings},
    packet::Packet,
    parse::{self, NotPlain, Parse, Part, Segment},
    reason::Reason,
    service,
    tables::Tables,
};

/// Rows that a datagram may have.
const WAYS: u32 = 4;

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
        remember::<A, T>(tables, &key(walked), segment.tuple.ports());
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
    let Some(ports) = recall::<A, T>(tables, &key(walked)) else {
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

/// What a datagram's fragments have in common (RFC 791 3.2, RFC 8200 4.5).
struct Key<A> {
    src: A,
    dst: A,
    name: u64,
}

#[inline(always)]
fn key<A: Address>(walked: &Walked<A>) -> Key<A> {
    let ip = &walked.carried;
    Key {
        src: ip.src,
        dst: ip.dst,
        name: u64::from(walked.id) << 8 | u64::from(ip.protocol),
    }
}

impl<A: Address> Key<A> {
    /// The first of the rows that it may have.
    #[inline(always)]
    fn home(&self, settings: &Settings) -> u32 {
        let ((a, b), (c, d)) = (self.src.words(), self.dst.words());
        let [a, b, c, d] = [a, b, c, d];
        let hash = hash::mix(hash::mix(settings.seed.load(), a), b);
        let hash = hash::mix(hash::mix(hash::mix(hash, c), d), self.name);
        hash::high(hash::finish(hash)) & (DATAGRAMS - 1) & !(WAYS - 1)
    }

    #[inline(always)]
    fn is_in(&self, row: &Datagram) -> bool {
        row.name.load() == self.name && row.src.load() == self.src.mapped() && row.dst.load() == self.dst.mapped()
    }
}

/// Remembers a datagram's ports.
///
/// Neither this nor [`recall`] is inlined: fragments are rare, and the rest has the stack for itself.
#[inline(never)]
fn remember<A: Address, T: Tables>(tables: &T, key: &Key<A>, ports: u32) {
    let Some(settings) = tables.settings() else {
        return;
    };
    let (home, now) = (key.home(settings), tables.now());
    let (mut chosen, mut oldest) = (home, 0);
    for index in home..home.wrapping_add(WAYS) {
        let Some(row) = tables.datagram(index) else {
            return;
        };
        let age = if row.version.load() == 0 || key.is_in(row) {
            u32::MAX
        } else {
            now.wrapping_sub(row.seen.load())
        };
        if age >= oldest {
            (chosen, oldest) = (index, age);
        }
    }
    if let Some(row) = tables.datagram(chosen.wrapping_add(settings.zero.load())) {
        write(row, key, ports, now);
    }
}

#[inline(always)]
fn write<A: Address>(row: &Datagram, key: &Key<A>, ports: u32, now: u32) {
    let version = row.version.load();
    if version & 1 != 0 || !row.version.compare_exchange(version, version | 1) {
        return;
    }
    row.src.store(key.src.mapped());
    row.dst.store(key.dst.mapped());
    row.name.store(key.name);
    row.ports.store(ports);
    row.seen.store(now);
    row.version.store(version.wrapping_add(2));
}

/// The ports of a datagram whose first fragment came not long ago.
#[inline(never)]
fn recall<A: Address, T: Tables>(tables: &T, key: &Key<A>) -> Option<u32> {
    let settings = tables.settings()?;
    let home = key.home(settings);
    for index in home..home.wrapping_add(WAYS) {
        let row = tables.datagram(index)?;
        let version = row.version.load();
        if version & 1 != 0 || version == 0 || !key.is_in(row) {
            continue;
        }
        let age = tables.now().wrapping_sub(row.seen.load());
        let ports = row.ports.load();
        let young = age <= settings.ticks_per_second.load().wrapping_mul(LIFE);
        return (young && row.version.load() == version).then_some(ports);
    }
    None
}
