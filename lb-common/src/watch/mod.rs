//! Packets shown on their way to who watches: as they come in, and as they leave with what was decided.
//!
//! An engine takes packets through [`watch`] only as long as somebody watches, and else straight to the first stage: what
//! nobody watches pays for nothing. The one thing that the stages do for it is to leave the reason of a packet that is not
//! forwarded beside its counter.

mod filter;
mod sighting;
mod subject;

pub use self::sighting::{Moment, Sighting};
use self::{filter::Match, subject::Subject};
use crate::{
    layout::{Note, PacketCounters, Watch},
    packet::Packet,
    rate,
    tables::Tables,
};

/// Where packets are shown.
pub trait Witness {
    /// The time since the system's start (`CLOCK_MONOTONIC`) in nanoseconds.
    fn time(&self) -> u64;

    /// Shows a sighting, with the first [`Sighting::shown`] bytes of the frame.
    fn show(&self, packet: &Packet<'_>, sighting: &Sighting);
}

/// Takes a packet on its way, and shows it before and after if it is watched. `go_on` takes it there, and says what comes of
/// it and the [index](crate::Verdict::index) of its verdict.
#[inline(always)]
pub fn watch<T: Tables, R>(
    packet: &mut Packet<'_>,
    tables: &T,
    witness: &impl Witness,
    go_on: impl FnOnce(&mut Packet<'_>) -> (R, usize),
) -> R {
    let mut subject = Subject::default();
    let mut sighting = Sighting::default();
    let is_shown = is_shown(packet, tables, &mut subject, &mut sighting);
    if is_shown {
        sighting.when = witness.time();
        witness.show(packet, &sighting);
    }
    let (result, verdict) = go_on(packet);
    if is_shown {
        sighting.when = witness.time();
        decided(packet, tables, &mut subject, &mut sighting, verdict);
        witness.show(packet, &sighting);
    }
    result
}

/// Whether a packet is to be shown, with what there is to say of it.
#[inline(always)]
fn is_shown<T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    subject: &mut Subject,
    sighting: &mut Sighting,
) -> bool {
    let (Some(watch), Some(note)) = (tables.watch(), tables.note()) else {
        return false;
    };
    if !is_on(watch, tables.now()) {
        return false;
    }
    subject.read(packet, tables);
    if filter::matches(watch, subject) == Match::No {
        return false;
    }
    if !may_show(tables, watch, note) {
        note.unshown.store(note.unshown.load().wrapping_add(1));
        return false;
    }
    if let Some(counters) = tables.packet_counters() {
        counters.latest.store(PacketCounters::NO_REASON);
    }
    let number = note.sightings.load();
    note.sightings.store(number.wrapping_add(1));
    sighting.watch = watch.number.load();
    sighting.number = number;
    sighting.interface = packet.interface();
    sighting.moment = Moment::BEFORE.0;
    sighting.of(subject);
    sighting.measure(packet, watch);
    true
}

/// Whether somebody watches still. When time is up nobody does, however often the clock wraps around.
#[inline(always)]
fn is_on(watch: &Watch, now: u32) -> bool {
    if watch.number.load() == 0 {
        return false;
    }
    let is_over = watch.until.load().wrapping_sub(now) > u32::MAX / 2;
    if is_over {
        watch.number.store(0);
    }
    !is_over
}

#[inline(always)]
fn may_show<T: Tables>(tables: &T, watch: &Watch, note: &Note) -> bool {
    tables
        .settings()
        .is_some_and(|settings| rate::allows(settings, &note.shown, tables.now(), watch.rate.load()))
}

/// What there is to say of a packet when it is decided what becomes of it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "there are four verdicts")]
fn decided<T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    subject: &mut Subject,
    sighting: &mut Sighting,
    verdict: usize,
) {
    let (Some(watch), Some(counters)) = (tables.watch(), tables.packet_counters()) else {
        return;
    };
    // A flow that was new has a backend now, and one that was moved has another.
    subject.find(tables);
    sighting.moment = Moment::AFTER.0;
    sighting.verdict = (verdict & 3) as u32;
    // Plus one: no reason is 0.
    sighting.reason = (counters.latest.load().wrapping_add(1) & 0xff) as u32;
    sighting.wanted = u32::from(filter::matches(watch, subject) == Match::Yes);
    sighting.of(subject);
    sighting.measure(packet, watch);
}
