//! The way to a backend.

use crate::{
    layout::{Backend, Hop},
    link::Link,
    reason::{OrRefuse as _, Reason, seldom},
};

/// The next hop that is in force, and its MAC addresses.
#[inline(always)]
pub(crate) fn in_force(record: &Backend) -> Result<(&Hop, Link), Reason> {
    at(record, record.hop.load())
}

/// The next hop that is in force for packets of a flow; none, if the flow is to end.
#[inline(always)]
pub(crate) fn of_flow(record: &Backend) -> Result<(&Hop, Link), Reason> {
    let word = record.hop.load();
    if word & Backend::ENDS != 0 {
        return Err(seldom(Reason::BackendDown));
    }
    at(record, word)
}

/// The next hop that a word of [`Backend::hop`] says is in force, and its MAC addresses.
#[inline(always)]
fn at(record: &Backend, word: u32) -> Result<(&Hop, Link), Reason> {
    let hop = record
        .hops
        .get((word & Backend::HOP) as usize)
        .or_refuse(Reason::NoNextHop)?;
    let dst = hop.peer.load();
    if dst == 0 {
        return Err(seldom(Reason::NoNextHop));
    }
    let src = hop.own.load();
    Ok((hop, Link { dst, src }))
}
