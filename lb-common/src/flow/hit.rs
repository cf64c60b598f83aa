//! An entry that was found, and the flow that it is one direction of.
//!
//! Two rules keep the directions together. Whatever is done to a partner is done to one that was looked up while
//! the entry itself was still the same flow's. And where both are changed or given up, the client's entry goes
//! first: without it no packet reaches the backend, while a reply's that is left over does no harm and is swept.

use crate::{
    address::Address,
    flow::{
        control::{Control, State},
        entry::{Client, Entry},
        log::{self, Why},
        table::{Claim, STRIDE, index_of, is_alone, partner},
        way::Way,
    },
    quota, room,
    tables::Tables,
};

/// How often a change is tried while other CPUs change the same entry.
const ATTEMPTS: u32 = 2;

/// An entry that was found.
pub struct Hit<'t, A: Address> {
    /// The entry.
    pub entry: &'t Entry<A>,
    /// Which bucket it stands in, and where there: seldom asked for, so that [`Hit::index`] puts both together.
    at: (u32, u32),
    /// Its control word when it was found.
    pub control: Control,
    /// What is done to its flow's packets.
    pub way: Way,
}

impl<'t, A: Address> Hit<'t, A> {
    /// The entry that stands at `index`, as it is now.
    #[inline(always)]
    #[must_use]
    pub fn at(entry: &'t Entry<A>, index: u32) -> Self {
        Self::in_bucket(entry, entry.control(), index / STRIDE, index % STRIDE)
    }

    /// The entry that stands at a place in a bucket, as it was by this control word.
    #[inline(always)]
    pub(super) fn in_bucket(entry: &'t Entry<A>, control: Control, bucket: u32, slot: u32) -> Self {
        Self {
            entry,
            at: (bucket, slot),
            control,
            way: entry.way(),
        }
    }

    /// The entry's index in the table.
    #[inline(always)]
    #[must_use]
    pub fn index(&self) -> u32 {
        let (bucket, slot) = self.at;
        index_of(bucket, slot)
    }

    /// Whether the entry is still what it was when it was found, and so all that was read of it since belongs
    /// together.
    #[inline(always)]
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.entry.control.load() == self.control.0
    }

    /// The entry of the flow's other direction, if it is still there.
    #[inline(always)]
    #[must_use]
    pub fn partner<T: Tables>(&self, tables: &'t T) -> Option<Self> {
        partner(tables, self.entry, self.index())
    }

    /// Whether the flow has lost its other direction, which is not sure where [`Hit::partner`] finds none.
    #[inline(always)]
    pub(super) fn is_alone<T: Tables>(&self, tables: &T) -> bool {
        is_alone(tables, self.entry, self.index())
    }

    /// Adds to the state of this entry, whatever others have added since it was found; says whether it is still
    /// the same flow's. Whoever closes the client's entry counts the flow as closed.
    #[inline(always)]
    pub fn advance<T: Tables>(&self, tables: &T, gained: State) -> bool {
        for _ in 0..ATTEMPTS {
            let Some(now) = self.renewed() else {
                return false;
            };
            let (old, new) = (now.state(), now.state().with(gained).settled());
            let counted = Counted::of(self.entry);
            if self.entry.control.compare_exchange(now.0, now.with_state(new).0) {
                counted.change(tables, old, new);
                return true;
            }
        }
        false
    }

    /// Changes the way to the client in both entries of the flow, or in none. For a moment in between nobody can
    /// read them. To be called with the client's entry: that it is claimed keeps two CPUs from leading the two
    /// entries to two places.
    #[inline(always)]
    pub fn follow<T: Tables>(&self, tables: &T, client: &Client) {
        let Some(before) = self.take() else {
            return;
        };
        let led = match partner(tables, self.entry, self.index()) {
            Some(reply) => reply.lead(client),
            None => false,
        };
        if led {
            self.entry.lead(client, before.state());
        }
        self.give(before);
    }

    /// Changes the way to the client in this entry; says whether it did.
    #[inline(always)]
    fn lead(&self, client: &Client) -> bool {
        let Some(before) = self.take() else {
            return false;
        };
        self.entry.lead(client, before.state());
        self.give(before);
        true
    }

    /// Ends the flow: frees this entry and its partner. Says whether this entry was freed, which it is not if it
    /// was changed since it was found, or is a reply's and the client's is being changed.
    #[inline(always)]
    pub fn end<T: Tables>(&self, tables: &T, why: Why) -> bool {
        let other = partner(tables, self.entry, self.index());
        // Else the partner may be that of the next flow in this place.
        if !self.is_current() {
            return false;
        }
        match other {
            Some(client) if self.control.state().has(State::REPLY) => {
                client.give_up(tables, why) && self.free(tables)
            }
            None if self.control.state().has(State::REPLY) => self.is_alone(tables) && self.free(tables),
            Some(reply) => {
                let ours = self.give_up(tables, why);
                if ours {
                    // Where another CPU was faster, it is left over, or another flow's already.
                    reply.free(tables);
                }
                ours
            }
            None => self.give_up(tables, why),
        }
    }

    /// Frees the client's entry as [`Hit::free`] does any, and leaves to the flow log what was known of its flow.
    #[inline(always)]
    fn give_up<T: Tables>(&self, tables: &T, why: Why) -> bool {
        let mark = log::draft(tables, self, why);
        let ours = self.free(tables);
        if ours && mark != 0 {
            log::commit::<A, T>(tables, self.index(), mark);
        }
        ours
    }

    /// Frees the entry, unless somebody else changed it since it was found; says whether it did. Whoever frees
    /// the client's entry of an active flow counts it as closed.
    #[inline(always)]
    fn free<T: Tables>(&self, tables: &T) -> bool {
        let counted = Counted::of(self.entry);
        let ours = self
            .entry
            .control
            .compare_exchange(self.control.0, self.control.freed().0);
        if ours {
            counted.change(tables, self.control.state(), State::FREE);
        }
        ours
    }

    /// The control word now, if the entry is still the same flow's.
    #[inline(always)]
    pub(super) fn renewed(&self) -> Option<Control> {
        let now = self.entry.control();
        now.is_same_flow(self.control).then_some(now)
    }

    /// Claims the entry of a flow to change it; the word before, to be given back.
    #[inline(always)]
    fn take(&self) -> Option<Control> {
        let before = self.renewed()?;
        let claimed = before.claimed(before.tag());
        self.entry
            .control
            .compare_exchange(before.0, claimed.0)
            .then_some(before)
    }

    /// Claims both entries of a flow that is closed, for the next one of the same client: its key is never without an entry,
    /// so that nobody else can give it one. None where another CPU changes one of them, or one is gone.
    #[inline(always)]
    pub fn take_over<T: Tables>(&self, tables: &T) -> Option<(Claim, Claim)> {
        let reply = self.partner(tables)?;
        let before = self.take()?;
        if reply.take().is_none() {
            self.give(before);
            return None;
        }
        Some((Claim { index: self.index() }, Claim { index: reply.index() }))
    }

    /// Publishes the entry again.
    #[inline(always)]
    fn give(&self, before: Control) {
        let published = before.claimed(before.tag()).with_state(before.state());
        self.entry.control.store(published.0);
    }
}

/// Where a flow is counted: to be read before its entry changes, for after that the entry may be another's.
struct Counted {
    backend: u32,
    /// See [`Way::counted`].
    of_source: u8,
    /// The source.
    site: u64,
}

impl Counted {
    #[inline(always)]
    fn of<A: Address>(entry: &Entry<A>) -> Self {
        let way = entry.way();
        Self {
            backend: way.backend(),
            of_source: way.counted(),
            site: quota::site(entry.source()),
        }
    }

    /// Counts what a change of the entry's state means for its flow: it is open, or active no more.
    #[inline(always)]
    fn change<T: Tables>(self, tables: &T, old: State, new: State) {
        if old.is_half_open()
            && !new.is_half_open()
            && let Some(backend) = tables.backend(self.backend)
        {
            room::open(tables, backend);
        }
        if old.is_active() && !new.is_active() {
            self.close(tables);
        }
    }

    /// One active flow less.
    #[inline(always)]
    fn close<T: Tables>(self, tables: &T) {
        if let Some(backend) = tables.backend(self.backend) {
            room::leave(tables, backend);
            quota::leave(tables, backend.service.load(), self.site, self.of_source);
        }
        let counters = tables
            .settings()
            .and_then(|settings| tables.backend_counters(settings, self.backend));
        if let Some(counters) = counters {
            counters.flows_closed.add(1);
        }
    }
}
