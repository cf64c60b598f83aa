//! Finding, claiming and removing entries.

use crate::{
    address::{Address, Tuple},
    flow::{
        control::{Control, State},
        entry::{Bucket, ENTRIES, Entry, Flow},
        hit::Hit,
        log::Why,
        place::{Place, place},
    },
    hint::likely,
    layout::Settings,
    reason::{OrRefuse as _, Reason, seldom},
    tables::Tables,
};

/// Entries per bucket as an index in the table.
pub(crate) const STRIDE: u32 = 4;
const _: () = assert!(STRIDE as usize == ENTRIES);

/// The index in the table of the entry at a place in a bucket.
#[inline(always)]
pub(super) const fn index_of(bucket: u32, slot: u32) -> u32 {
    bucket.wrapping_mul(STRIDE).wrapping_add(slot)
}

/// An entry that is ours to fill: publish it or give it up.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Claim {
    /// Where the entry stands, for its partner.
    pub index: u32,
}

impl Claim {
    /// Fills the entry and lets everybody read it.
    #[inline(always)]
    pub fn publish<A: Address, T: Tables>(self, tables: &T, flow: &Flow<A>, state: State, now: u32) {
        let Some(entry) = entry_at::<A, T>(tables, self.index) else {
            return;
        };
        entry.fill(flow, state);
        entry.seen.store(now);
        entry.control.store(entry.control().with_state(state).0);
    }

    /// Gives the entry up.
    #[inline(always)]
    pub fn release<A: Address, T: Tables>(self, tables: &T) {
        let Some(entry) = entry_at::<A, T>(tables, self.index) else {
            return;
        };
        entry.control.store(entry.control().freed().0);
    }
}

/// The entry of a key, `Ok(None)` if it has none.
///
/// # Errors
///
/// [`Reason::FlowContended`] if the entry was changed while it was read, or if another key holds the same tag in
/// the same buckets (once in 125 million flows).
#[inline(always)]
pub fn find<'t, A: Address, T: Tables>(
    tables: &'t T,
    settings: &Settings,
    key: &Tuple<A>,
    protocol: u8,
) -> Result<Option<Hit<'t, A>>, Reason> {
    let place = place(settings, key, protocol);
    let Some((spot, control)) = holder::<A, T>(tables, settings, &place, None)? else {
        return Ok(None);
    };
    let hit = spot.hit_by(control).or_refuse(Reason::NotReady)?;
    if likely(hit.control.has(State::READY)) && likely(hit.entry.carries(key)) {
        return Ok(Some(hit));
    }
    Err(seldom(Reason::FlowContended))
}

/// Whether a key has no entry and is not about to be given one. With `lingering`, the entry of a flow that is closed is
/// freed for it.
#[inline(always)]
pub fn is_free<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    key: &Tuple<A>,
    protocol: u8,
    lingering: bool,
) -> Result<bool, Reason> {
    let Some((spot, control)) = holder::<A, T>(tables, settings, &place(settings, key, protocol), None)?
    else {
        return Ok(true);
    };
    if !lingering {
        return Ok(false);
    }
    let hit = spot.hit_by(control).or_refuse(Reason::NotReady)?;
    Ok(hit.control.state().has(State::READY.with(State::CLOSED)) && hit.end(tables, Why::Over))
}

/// Claims an entry for a key that has none.
///
/// # Errors
///
/// [`Reason::FlowContended`] if the key has an entry, or another CPU is about to give it one;
/// [`Reason::FlowTableFull`] if none that it may have is free: [`make_room`](super::make_room) may free one.
#[inline(always)]
pub fn claim<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    key: &Tuple<A>,
    protocol: u8,
) -> Result<Claim, Reason> {
    let Place {
        buckets: [first, second],
        tag,
    } = place(settings, key, protocol);
    match claim_free::<A, T>(tables, settings, first, second, tag) {
        FULL => Err(Reason::FlowTableFull),
        RIVALLED => Err(Reason::FlowContended),
        index => Ok(Claim { index }),
    }
}

/// Instead of an index: no entry is free. (A [`Reason`] would pass through memory, and the verifier not know any more
/// that it is one.)
const FULL: u32 = u32::MAX;

/// Instead of an index: somebody else has the key's entry, or may.
const RIVALLED: u32 = u32::MAX - 1;

/// Claims a free entry of two buckets; its index. Where none is free, they are noted for who makes room.
#[inline(never)]
fn claim_free<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    first: u32,
    second: u32,
    tag: u32,
) -> u32 {
    let place = Place {
        buckets: [first, second],
        tag,
    };
    let spot = match free::<A, T>(tables, settings, &place) {
        Ok(Some(spot)) => spot,
        Ok(None) => {
            let Some(note) = tables.note() else {
                return RIVALLED;
            };
            for (full, bucket) in note.full.iter().zip(place.buckets) {
                full.store(bucket);
            }
            return FULL;
        }
        Err(_) => return RIVALLED,
    };
    let (index, Some(entry)) = (spot.index(), spot.entry()) else {
        return RIVALLED;
    };
    let old = entry.control();
    if old.state() != State::FREE || !entry.control.compare_exchange(old.0, old.claimed(place.tag).0) {
        return RIVALLED;
    }
    // Looked for only now that ours is visible: whoever claims the same key sees it too, and who sees two gives up.
    if let Ok(None) = holder::<A, T>(tables, settings, &place, Some(index)) {
        return index;
    }
    Claim { index }.release::<A, T>(tables);
    RIVALLED
}

/// The entry at an index, if it holds a flow.
#[inline(always)]
#[must_use]
fn hit_at<A: Address, T: Tables>(tables: &T, index: u32) -> Option<Hit<'_, A>> {
    let entry = entry_at::<A, T>(tables, index)?;
    let hit = Hit::at(entry, index);
    hit.control.state().has(State::READY).then_some(hit)
}

/// The entry at an index, if it still is what this control word says: a closed flow's.
#[inline(always)]
#[must_use]
pub fn lingering<A: Address, T: Tables>(tables: &T, index: u32, control: Control) -> Option<Hit<'_, A>> {
    let hit = hit_at::<A, T>(tables, index)?;
    (hit.control == control && control.has(State::CLOSED)).then_some(hit)
}

#[inline(always)]
pub(super) fn entry_at<A: Address, T: Tables>(tables: &T, index: u32) -> Option<&Entry<A>> {
    let bucket = A::bucket(tables, index / STRIDE)?;
    bucket.0.get((index % STRIDE) as usize)
}

/// The entry of the other direction of the flow whose entry stands at `index`.
#[inline(always)]
pub(super) fn partner<'t, A: Address, T: Tables>(
    tables: &'t T,
    entry: &Entry<A>,
    index: u32,
) -> Option<Hit<'t, A>> {
    let partner = hit_at::<A, T>(tables, entry.partner())?;
    // Its state may have changed meanwhile.
    (are_partners(entry, index, partner.entry) && partner.renewed().is_some()).then_some(partner)
}

/// Whether the flow whose entry stands at `index` has lost its other direction. Where [`partner`] finds none this is
/// yet to be asked: somebody may be filling or changing what stands in its place.
#[inline(always)]
pub(super) fn is_alone<A: Address, T: Tables>(tables: &T, entry: &Entry<A>, index: u32) -> bool {
    let Some(other) = entry_at::<A, T>(tables, entry.partner()) else {
        return true;
    };
    let control = other.control();
    if control.state().has(State::READY) {
        !are_partners(entry, index, other) && other.control().is_same_flow(control)
    } else {
        control.state() == State::FREE
    }
}

/// Whether two entries, of which one stands at `index`, are the directions of one flow.
#[inline(always)]
fn are_partners<A: Address>(entry: &Entry<A>, index: u32, other: &Entry<A>) -> bool {
    other.partner() == index
        && other.way().is_of(entry.way().protocol())
        && other.carries(&entry.to().reversed())
}

/// Where an entry stands.
///
/// The verifier is to take all places of a bucket for one, or it would follow each on its own: eight times the rest of the
/// program, and for each of two claims again. So a place is one that has had something added to it that is 0, which the
/// verifier does not know.
pub(super) struct Spot<'t, A: Address> {
    pub(super) bucket: &'t Bucket<A>,
    /// Which one that is.
    pub(super) number: u32,
    /// Place in the bucket.
    pub(super) slot: u32,
}

impl<'t, A: Address> Spot<'t, A> {
    /// The entry, as it is now.
    #[inline(always)]
    pub(super) fn hit(&self) -> Option<Hit<'t, A>> {
        self.hit_by(self.entry()?.control())
    }

    /// The entry with the control word that it was found by.
    #[inline(always)]
    fn hit_by(&self, control: Control) -> Option<Hit<'t, A>> {
        Some(Hit::in_bucket(
            self.entry()?,
            control,
            self.number,
            self.slot & (STRIDE - 1),
        ))
    }

    #[inline(always)]
    fn entry(&self) -> Option<&'t Entry<A>> {
        self.bucket.0.get((self.slot & (STRIDE - 1)) as usize)
    }

    /// The entry's index.
    #[inline(always)]
    fn index(&self) -> u32 {
        index_of(self.number, self.slot & (STRIDE - 1))
    }
}

/// The first entry of the key's buckets, but for that at `except`, that carries its tag, claimed or ready.
#[inline(always)]
fn holder<'t, A: Address, T: Tables>(
    tables: &'t T,
    settings: &Settings,
    place: &Place,
    except: Option<u32>,
) -> Result<Option<(Spot<'t, A>, Control)>, Reason> {
    for index in place.buckets {
        let bucket = A::bucket(tables, index).or_refuse(Reason::NotReady)?;
        for (slot, entry) in (0..).zip(&bucket.0) {
            let control = Control(entry.control.load());
            // A free entry has the tag 0, which no key has.
            let held = control.tag() == place.tag;
            if likely(held) && except != Some(index_of(index, slot)) {
                let found = Spot {
                    bucket,
                    number: index,
                    slot: slot.wrapping_add(settings.zero.load()),
                };
                return Ok(Some((found, control)));
            }
        }
    }
    Ok(None)
}

/// A free entry of the key's buckets.
#[inline(always)]
fn free<'t, A: Address, T: Tables>(
    tables: &'t T,
    settings: &Settings,
    place: &Place,
) -> Result<Option<Spot<'t, A>>, Reason> {
    for index in place.buckets {
        let bucket = A::bucket(tables, index).or_refuse(Reason::NotReady)?;
        for (slot, entry) in (0_u32..).zip(&bucket.0) {
            if entry.control().state() == State::FREE {
                return Ok(Some(Spot {
                    bucket,
                    number: index,
                    slot: slot.wrapping_add(settings.zero.load()),
                }));
            }
        }
    }
    Ok(None)
}
