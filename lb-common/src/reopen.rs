//! A client's next flow by the ports of its last one, which is closed and lingers for strays.
//!
//! It takes over both entries, and with them the source port that the backend knows this client by: there, too, sequence
//! numbers and timestamps of one client go on rising (RFC 6191). And nothing is looked for that is there.

use crate::{
    address::{Address, Port, Tuple, V4, V6},
    begin,
    flow::{self, Client, Control, Hit, Why},
    layout::{Backend, Note, Settings},
    link::Link,
    manner::{Forwarding, Manner},
    packet::Packet,
    parse::Place,
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
};

/// Where a SYN goes on whose client's last flow lingers: to who chooses, who is told of that.
#[inline(always)]
pub(crate) fn leave<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) -> Exit {
    let Some(note) = tables.note() else {
        return Reason::NotReady.into();
    };
    note.lingering.store(hit.control.0);
    note.lingers_at.store(hit.index());
    note.lingers.store(1);
    Exit::To(Stage::Choose)
}

/// Where a packet goes on instead of what was chosen for it, if its client's last flow lingers.
#[inline(always)]
pub(crate) fn instead(note: &Note, chosen: Result<Stage, Reason>) -> Result<Stage, Reason> {
    // Taken in any case: the next packet's flow is another one.
    if !Note::take(&note.lingers) {
        return chosen;
    }
    Ok(match chosen? {
        Stage::BeginV4 | Stage::BeginV6 | Stage::BeginLocal => Stage::Reopen,
        // Whoever proves its cookie must not find it; that ends it.
        Stage::Cookie => Stage::Retry,
        other => other,
    })
}

/// Opens a packet's flow in the entries of its client's last one, if that went to the backend that was chosen, and as flows go
/// there now; else ends that one, and has the flow opened elsewhere.
#[inline(always)]
pub fn reopen<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let reopened = match Place::noted(tables) {
        Ok(place) if place.is_v6 => take_over::<V6, T>(packet, tables),
        Ok(_) => take_over::<V4, T>(packet, tables),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, Err(begin::after_opening(tables, reopened)))
}

#[inline(always)]
fn take_over<A: Address, T: Tables>(packet: &Packet<'_>, tables: &T) -> Result<Stage, Exit> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let backend = note.backend.load();
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let link = Link::of(packet).ok_or(Reason::Malformed)?;
    let elsewhere = begin::stage::<A>(record);
    let control = Control(note.lingering.load());
    let Some(last) = flow::lingering::<A, T>(tables, note.lingers_at.load(), control) else {
        // Another CPU was faster: opening will tell.
        return Ok(elsewhere);
    };
    let (key, to) = (last.entry.key(), last.entry.to());
    if last.way.backend() == backend && is_as_today(tables, settings, record, (&key, &to)) {
        flow::log(tables, &last, Why::Over);
        if let Some((client, reply)) = last.take_over(tables) {
            let from = Client {
                interface: packet.interface(),
                link,
            };
            let done = (last.way.protocol(), last.way.forwarding());
            let flow = begin::noted(note, from, (key, to), done, reply.index);
            begin::publish(tables, settings, record, &flow, client, tables.now())?;
            return Ok(Stage::Follow);
        }
    }
    last.end(tables, Why::Over);
    Ok(elsewhere)
}

/// Whether a flow that carries `key` would be given what `to` has, as far as that is not chosen freely: since its last packet
/// a reload may have changed where the backend is and by which addresses and ports it is reached.
#[inline(always)]
fn is_as_today<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    record: &Backend,
    (key, to): (&Tuple<A>, &Tuple<A>),
) -> bool {
    let manner = Manner(record.manner.load());
    let hash = begin::client_hash(key, settings.seed.load());
    let has_source = begin::source(tables, (key, hash), record, manner).is_ok_and(|source| source == to.src);
    let has_port = if manner.keeps_client() {
        to.src_port == key.src_port
    } else {
        let offset = to.src_port.number().wrapping_sub(settings.pool_first.load());
        offset < settings.pool_count.load()
    };
    let is_there = to.dst == A::stored(&record.address)
        && to.dst_port == Port(record.port.load().to_ne_bytes())
        && record.local.load() == 0;
    manner.forwarding() == Forwarding::Translate && is_there && has_source && has_port
}
