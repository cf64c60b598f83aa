//! Packets that this host sends: the answers of backends that run on it.

use crate::{
    address::{V4, V6},
    flow::{self, State},
    layout::{PortFilter, Settings},
    manner::Forwarding,
    packet::{Packet, Wire},
    parse::{self, Network, Parse, Segment},
    process::count_reason,
    reason::Reason,
    rewrite,
    tables::Tables,
};

/// What becomes of a packet that this host sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// It is no answer to a client, and goes as it is.
    Untouched,
    /// It goes to the client from the virtual address.
    Translated,
    /// It must not go: its client would take it for a stranger's and end the connection that it belongs to.
    Refused(Reason),
}

/// Gives an answer of a backend on this host the virtual address that its client knows.
///
/// Such packets have come in by no interface: the backend's counters count them, those by verdict do not.
#[inline(always)]
pub fn egress<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Egress {
    let translated = match parse::network(packet) {
        Ok(Network::V4) => answer::<V4, T>(packet, tables),
        Ok(Network::V6) => answer::<V6, T>(packet, tables),
        Err(_) => return Egress::Untouched,
    };
    match translated {
        Ok(egress) => egress,
        Err(reason) => {
            count_reason(tables, reason);
            Egress::Refused(reason)
        }
    }
}

#[inline(always)]
fn answer<A, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Egress, Reason>
where
    A: Parse<Header: Wire>,
{
    let Some((segment, settings)) = candidate::<A, T>(packet, tables) else {
        return Ok(Egress::Untouched);
    };
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Ok(Egress::Untouched);
    };
    let (to, way) = (hit.entry.to(), hit.way);
    let local = way.forwarding() == Forwarding::Local;
    if !hit.is_current() {
        return Err(Reason::FlowContended);
    }
    if !local || !hit.control.state().has(State::REPLY) {
        return Ok(Egress::Untouched);
    }
    flow::track(tables, &segment, &hit);
    let length = packet.len();
    // The packet is still in the hands of the stack that it comes from, which finishes what it has not.
    rewrite::in_place(packet, tables, || true, &segment, &to)?;
    if let Some(counters) = tables.backend_counters(settings, way.backend()) {
        counters.count_out(length);
    }
    flow::count(tables, settings, &hit, (&*packet, &segment), length);
    Ok(Egress::Translated)
}

/// The packet's segment, if it comes from a port that a backend on this host has.
#[inline(always)]
fn candidate<'t, A: Parse, T: Tables>(
    packet: &Packet<'_>,
    tables: &'t T,
) -> Option<(Segment<A>, &'t Settings)> {
    let segment = A::parse(packet).ok()?;
    let bit = PortFilter::bit_of(segment.protocol);
    let settings = tables.settings()?;
    let bits = settings.ports.sources.of(segment.tuple.src_port).load();
    (bits & bit != 0).then_some((segment, settings))
}
