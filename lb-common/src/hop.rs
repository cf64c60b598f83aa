//! The way to a backend.

use crate::{
    hint::unlikely,
    layout::{Backend, Hop},
    reason::{OrRefuse as _, Reason, seldom},
};

/// The next hop that is in force.
#[inline(always)]
pub(crate) fn in_force(record: &Backend) -> Result<&Hop, Reason> {
    at(record, record.hop.load() & !Backend::ENDS)
}

/// The next hop that is in force for packets of a flow; none, if the flow is to end.
#[inline(always)]
pub(crate) fn of_flow(record: &Backend) -> Result<&Hop, Reason> {
    at(record, record.hop.load())
}

/// The next hop that a word of [`Backend::hop`] says is in force.
#[inline(always)]
fn at(record: &Backend, word: u32) -> Result<&Hop, Reason> {
    if unlikely(word & (Backend::ENDS | Backend::KNOWN) != Backend::KNOWN) {
        return Err(seldom(if word & Backend::ENDS == 0 {
            Reason::NoNextHop
        } else {
            Reason::BackendDown
        }));
    }
    record
        .hops
        .get((word & Backend::HOP) as usize)
        .or_refuse(Reason::NoNextHop)
}
