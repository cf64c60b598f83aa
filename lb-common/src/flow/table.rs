//! Finding, claiming and removing entries.

use crate::{
    address::{Address, Tuple},
    flow::{
        control::{Control, State},
        entry::{ENTRIES, Entry, Flow},
        track,
    },
    layout::Settings,
    reason::Reason,
    tables::Tables,
};

/// Entries per bucket as an index in the table.
const STRIDE: u32 = ENTRIES as u32;

/// A key's two buckets and its tag.
#[derive(Debug, Clone, Copy)]
struct Place {
    buckets: [u32; 2],
    tag: u32,
}

/// An entry that was found, and what it held.
pub struct Hit<'t, A: Address> {
    /// The entry.
    pub entry: &'t Entry<A>,
    /// Where it stands.
    pub index: u32,
    /// Its control word, the same before and after `flow` was copied.
    pub control: Control,
    /// An untorn copy of its flow.
    pub flow: Flow<A>,
}

impl<'t, A: Address> Hit<'t, A> {
    /// The entry of the flow's other direction, if it is still there.
    #[inline(always)]
    #[must_use]
    pub fn partner<T: Tables>(&self, tables: &'t T) -> Option<Self> {
        partner(tables, &self.flow, self.index)
    }

    /// Changes the state, unless somebody else changed the entry since it was read.
    #[inline(always)]
    #[must_use]
    pub fn advance(&self, state: State) -> bool {
        self.entry.control.compare_exchange(self.control.0, self.control.with_state(state).0)
    }

    /// Changes what is done to the packets, unless somebody else changed the entry since it was read. For a
    /// moment in between the entry is found by nobody.
    #[inline(always)]
    pub fn replace(&self, flow: &Flow<A>) {
        let claimed = self.control.claimed(self.control.tag());
        if self.entry.control.compare_exchange(self.control.0, claimed.0) {
            self.entry.flow.store(flow);
            self.entry.control.store(claimed.with_state(self.control.state()).0);
        }
    }

    /// Frees the entry, unless somebody else changed it since it was read.
    #[inline(always)]
    #[must_use]
    pub fn remove(&self) -> bool {
        self.entry.control.compare_exchange(self.control.0, self.control.freed().0)
    }
}

/// An entry that is ours to fill: publish it or give it up.
pub struct Claim<'t, A: Address> {
    entry: &'t Entry<A>,
    control: Control,
    /// Where the entry stands, for its partner.
    pub index: u32,
}

impl<A: Address> Claim<'_, A> {
    /// Fills the entry and lets everybody read it.
    #[inline(always)]
    pub fn publish(&self, flow: &Flow<A>, state: State, now: u32) {
        self.entry.flow.store(flow);
        self.entry.seen.store(now);
        self.entry.ack.store(0);
        self.entry.control.store(self.control.with_state(state).0);
    }

    /// Gives the entry up.
    #[inline(always)]
    pub fn release(&self) {
        self.entry.control.store(self.control.freed().0);
    }
}

/// The entry of a key, `Ok(None)` if it has none.
///
/// # Errors
///
/// [`Reason::FlowContended`] if the entry was changed while it was read.
#[inline(always)]
pub fn find<'t, A: Address, T: Tables>(
    tables: &'t T,
    settings: &Settings,
    key: &Tuple<A>,
    protocol: u8,
) -> Result<Option<Hit<'t, A>>, Reason> {
    let place = place(settings, key, protocol);
    for bucket in place.buckets {
        let mut index = bucket.wrapping_mul(STRIDE);
        for entry in &A::bucket(tables, bucket).ok_or(Reason::NotReady)?.0 {
            if Control(entry.control.load()).tag() == place.tag {
                match read(entry, index) {
                    Read::Flow(hit) if hit.flow.key() == *key && hit.flow.protocol == protocol => {
                        return Ok(Some(hit));
                    }
                    Read::Changing => return Err(Reason::FlowContended),
                    Read::Flow(_) | Read::Free => {}
                }
            }
            index = index.wrapping_add(1);
        }
    }
    Ok(None)
}

/// What an entry held when it was read.
pub enum Read<'t, A: Address> {
    /// A flow.
    Flow(Hit<'t, A>),
    /// Nothing.
    Free,
    /// Something that somebody is about to change.
    Changing,
}

/// Reads an entry.
#[inline(always)]
pub fn read<A: Address>(entry: &Entry<A>, index: u32) -> Read<'_, A> {
    let control = Control(entry.control.load());
    if control.state() == State::FREE {
        return Read::Free;
    }
    if !control.state().has(State::READY) {
        return Read::Changing;
    }
    let flow = entry.flow.load();
    if entry.control.load() != control.0 {
        return Read::Changing;
    }
    Read::Flow(Hit { entry, index, control, flow })
}

/// Claims an entry for a key that has none.
///
/// # Errors
///
/// [`Reason::FlowContended`] if the key has an entry, or another CPU is about to give it one;
/// [`Reason::FlowTableFull`] if all entries that it may have hold active flows.
#[inline(always)]
pub fn claim<'t, A: Address, T: Tables>(
    tables: &'t T,
    settings: &Settings,
    key: &Tuple<A>,
    protocol: u8,
    now: u32,
) -> Result<Claim<'t, A>, Reason> {
    let place = place(settings, key, protocol);
    let before = survey::<A, T>(tables, &place, now)?;
    if before.holders != 0 {
        return Err(Reason::FlowContended);
    }
    if before.room == Room::NONE {
        return Err(Reason::FlowTableFull);
    }
    let entry = entry_at::<A, T>(tables, before.index).ok_or(Reason::NotReady)?;
    let control = before.control.claimed(place.tag);
    if !entry.control.compare_exchange(before.control.0, control.0) {
        return Err(Reason::FlowContended);
    }
    if before.control.state() != State::FREE {
        evicted(tables, entry, &before);
    }
    let claim = Claim { entry, control, index: before.index };
    // Ours is visible now. Whoever claimed the same key meanwhile sees it too; whoever sees two gives up.
    if survey::<A, T>(tables, &place, now)?.holders == 1 {
        return Ok(claim);
    }
    claim.release();
    Err(Reason::FlowContended)
}

/// The entry at an index that a [`Flow::partner`] holds.
#[inline(always)]
#[must_use]
pub fn entry_at<A: Address, T: Tables>(tables: &T, index: u32) -> Option<&Entry<A>> {
    let bucket = A::bucket(tables, index / STRIDE)?;
    bucket.0.get((index % STRIDE) as usize)
}

#[inline(always)]
fn partner<'t, A: Address, T: Tables>(tables: &'t T, flow: &Flow<A>, index: u32) -> Option<Hit<'t, A>> {
    let entry = entry_at::<A, T>(tables, flow.partner)?;
    match read(entry, flow.partner) {
        Read::Flow(hit) if hit.flow.partner == index && hit.flow.key() == flow.to().reversed() => Some(hit),
        _ => None,
    }
}

#[inline(always)]
fn place<A: Address>(settings: &Settings, key: &Tuple<A>, protocol: u8) -> Place {
    let hash = key.hash(protocol, settings.seed.load());
    let mask = if A::HEADER_LEN == 20 { &settings.bucket_mask_v4 } else { &settings.bucket_mask_v6 }.load();
    let tag = hash as u32;
    let first = ((hash >> 32) as u32) & mask;
    // The other bucket by the tag (cuckoo hashing's partial keys); odd, so that it is another one.
    let second = (first ^ (tag.wrapping_mul(0x5bd1_e995) | 1)) & mask;
    Place { buckets: [first, second], tag }
}

/// How gladly an entry is given to a new flow; greater is better. Active flows are never evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Room(u32);

impl Room {
    const NONE: Self = Self(0);
    const FREE: Self = Self(u32::MAX);

    #[inline(always)]
    fn of(state: State, age: u32) -> Self {
        /// Ages are compared up to this many ticks.
        const AGES: u32 = 0x3fff_ffff;
        const CLOSED: u32 = 0x4000_0000;

        if state == State::FREE {
            Self::FREE
        } else if state.has(State::CLOSED) {
            Self(CLOSED | (age & AGES))
        } else if state.has(State::READY) && !state.has(State::ESTABLISHED) {
            // Half-open. At least 1: room, but the last choice.
            Self((age & AGES) | 1)
        } else {
            Self::NONE
        }
    }
}

/// What a key's buckets look like.
struct Survey {
    /// Entries that carry the key's tag, claimed or ready.
    holders: u32,
    /// The best entry to take.
    room: Room,
    index: u32,
    control: Control,
}

#[inline(always)]
fn survey<A: Address, T: Tables>(tables: &T, place: &Place, now: u32) -> Result<Survey, Reason> {
    let mut survey = Survey { holders: 0, room: Room::NONE, index: 0, control: Control(0) };
    for bucket in place.buckets {
        let mut index = bucket.wrapping_mul(STRIDE);
        for entry in &A::bucket(tables, bucket).ok_or(Reason::NotReady)?.0 {
            let control = Control(entry.control.load());
            if control.state() != State::FREE && control.tag() == place.tag {
                survey.holders = survey.holders.wrapping_add(1);
            }
            let room = Room::of(control.state(), now.wrapping_sub(entry.seen.load()));
            if room > survey.room {
                survey = Survey { room, index, control, ..survey };
            }
            index = index.wrapping_add(1);
        }
    }
    Ok(survey)
}

/// Takes the evicted flow's other entry along, and counts the flow as closed unless it was before.
#[inline(always)]
fn evicted<A: Address, T: Tables>(tables: &T, entry: &Entry<A>, survey: &Survey) {
    let flow = entry.flow.load();
    if let Some(partner) = partner(tables, &flow, survey.index) {
        let _removed_by_another = !partner.remove();
    }
    if !survey.control.state().has(State::CLOSED) {
        track::count_closed(tables, flow.backend);
    }
}
