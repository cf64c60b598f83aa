//! Where the packets of a flow go: addresses, ports, MAC addresses and interface.

use crate::{
    address::{Address, Tuple},
    flow::{self, Client, Hit, State},
    hint::{likely, unlikely},
    hop,
    layout::Settings,
    link::Link,
    opaque,
    packet::Packet,
    parse::Segment,
    reason::{OrRefuse as _, Reason, seldom},
    rewrite,
    tables::Tables,
    verdict::Verdict,
};

/// Where a packet goes.
pub(crate) struct Route<A> {
    /// Addresses and ports to leave with.
    pub(crate) to: Tuple<A>,
    /// MAC addresses to leave with.
    pub(crate) link: Link,
    /// Interface to leave by.
    interface: u32,
    /// The longest IP packet that may go there; 0: any.
    pub(crate) mtu: u32,
    /// The flow's backend.
    pub(crate) backend: u32,
    /// Whether it comes from the backend.
    pub(crate) reply: bool,
}

impl<A> Route<A> {
    /// Sends a frame of that length on, which is counted; what becomes of it.
    #[inline(always)]
    pub(crate) fn send<T: Tables>(
        &self,
        packet: &Packet<'_>,
        tables: &T,
        settings: &Settings,
        length: u64,
    ) -> Verdict {
        let ways = (packet.interface(), self.interface);
        send(tables, settings, (self.backend, self.reply), length, ways)
    }
}

/// Sends a frame of that length on, which goes to a backend or comes from it, from one interface out of the other: counts
/// it; what becomes of it.
#[inline(always)]
pub(crate) fn send<T: Tables>(
    tables: &T,
    settings: &Settings,
    (backend, comes_from_it): (u32, bool),
    length: u64,
    (came_by, interface): (u32, u32),
) -> Verdict {
    let counters = tables.backend_counters(settings, backend);
    if let Some(counters) = counters {
        if comes_from_it {
            counters.count_out(length);
        } else {
            counters.count_in(length);
        }
    }
    if interface == came_by {
        if let Some(counters) = counters {
            counters.tx.add(1);
        }
        return Verdict::TX;
    }
    opaque::apart();
    if let Some(counters) = counters {
        counters.redirect.add(1);
    }
    Verdict::redirect(interface)
}

/// The route of a packet, from its flow's entry; notes there that it came.
#[inline(always)]
pub(crate) fn of_packet<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<Route<A>, Reason> {
    let route = to_client(hit)?;
    flow::track(tables, segment, hit);
    if route.reply {
        return Ok(route);
    }
    learn(packet, tables, hit, (route.link, route.interface))?;
    to_backend(tables, route.to, route.backend)
}

/// The route of what is about a flow without being a packet of it.
#[inline(always)]
pub(crate) fn beside<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) -> Result<Route<A>, Reason> {
    let route = to_client(hit)?;
    if route.reply {
        return Ok(route);
    }
    to_backend(tables, route.to, route.backend)
}

/// The route of a backend's packet; of a client's, all but where it goes: its link and interface are those that it should
/// have come by.
#[inline(always)]
pub(crate) fn to_client<A: Address>(hit: &Hit<'_, A>) -> Result<Route<A>, Reason> {
    let route = Route {
        to: hit.entry.to(),
        link: hit.entry.link(),
        interface: hit.entry.interface(),
        mtu: 0,
        backend: hit.way.backend(),
        reply: hit.control.has(State::REPLY),
    };
    if likely(hit.is_current()) {
        Ok(route)
    } else {
        Err(seldom(Reason::FlowContended))
    }
}

/// The route of a client's packet.
#[inline(always)]
fn to_backend<A: Address, T: Tables>(tables: &T, to: Tuple<A>, backend: u32) -> Result<Route<A>, Reason> {
    let record = tables.backend(backend).or_refuse(Reason::NoBackend)?;
    let hop = hop::of_flow(record)?;
    Ok(Route {
        to,
        link: hop.link(),
        interface: hop.interface.load(),
        mtu: hop.mtu.load(),
        backend,
        reply: false,
    })
}

/// Replies go back to where the client's packets come from: notices when that has changed.
#[inline(always)]
fn learn<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    hit: &Hit<'_, A>,
    known: (Link, u32),
) -> Result<(), Reason> {
    let link = Link::of(packet).or_refuse(Reason::Malformed)?;
    let interface = packet.interface();
    if unlikely((link, interface) != known) {
        opaque::seldom();
        hit.follow(tables, &Client { interface, link });
    }
    Ok(())
}

/// The interface that a flow's packets leave by.
#[inline(always)]
pub(crate) fn leaves_by<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) -> Result<u32, Reason> {
    if hit.control.has(State::REPLY) {
        return Ok(hit.entry.interface());
    }
    Ok(to_backend(tables, hit.entry.to(), hit.way.backend())?.interface)
}

/// Refuses a frame of that length whose packet is longer than its way takes, and notes what that is; 0: any.
#[inline(always)]
pub(crate) fn check_length<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    mtu: u32,
    length: u64,
) -> Result<(), Reason> {
    // What a sender left to its NIC may be several packets yet: where they are told apart later, so are their lengths.
    if likely(mtu != 0)
        && unlikely(length.wrapping_sub(segment.network as u64) > u64::from(mtu))
        && !(tables.keeps_partial_checksum(settings) && rewrite::is_unfinished(segment))
    {
        tables.note().or_refuse(Reason::NotReady)?.mtu.store(mtu);
        return Err(seldom(Reason::TooBig));
    }
    Ok(())
}
