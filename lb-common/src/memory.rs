//! Tables over memory that the caller owns: a userspace engine's own ([`Heap`]), or a kernel's maps mapped by a
//! daemon.

mod heap;

use core::cell::Cell;

pub use heap::{Heap, Sizes};

use crate::{
    address::{V4, V6},
    checksum::Sum,
    flow::Bucket,
    layout::{
        Account, Backend, BackendCounters, Border, COMPLETE_PARTIAL, ChoiceWord, Datagrams, Ended, Ends,
        Note, PacketCounters, Quotas, Service, ServiceSlot, Settings, Source, Watch,
    },
    packet::Packet,
    shared::Shared,
    tables::Tables,
    verdict::Verdict,
};

/// All tables, by reference. Whoever writes to them and whoever forwards by them hold the same.
#[derive(Clone, Copy)]
pub struct Memory<'m> {
    /// See [`Tables::settings`].
    pub settings: &'m Settings,
    /// See [`Tables::service_slot`].
    pub service_slots: &'m [ServiceSlot],
    /// See [`Tables::service`].
    pub services: &'m [Service],
    /// See [`Tables::choices`].
    pub choices: &'m [ChoiceWord],
    /// See [`Tables::backend`].
    pub backends: &'m [Backend],
    /// See [`Tables::source`].
    pub sources: &'m [Source],
    /// See [`Tables::bucket_v4`].
    pub buckets_v4: &'m [Bucket<V4>],
    /// See [`Tables::bucket_v6`].
    pub buckets_v6: &'m [Bucket<V6>],
    /// See [`Tables::datagrams`].
    pub datagrams: &'m [Datagrams],
    /// See [`Tables::border`].
    pub borders: &'m [Border],
    /// See [`Tables::quotas`].
    pub quotas: &'m [Quotas],
    /// See [`Tables::account`].
    pub accounts: &'m [Account],
    /// Each worker's ring after the other.
    pub ended: &'m [Ended],
    /// One per worker.
    pub ends: &'m [Ends],
    /// See [`Tables::watch`].
    pub watch: &'m Watch,
    /// One per worker.
    pub notes: &'m [Note],
    /// One per worker.
    pub packet_counters: &'m [PacketCounters],
    /// Each worker's in a row: worker × capacity + backend.
    pub backend_counters: &'m [BackendCounters],
}

impl<'m> Memory<'m> {
    /// Packets so far by verdict, see [`Verdict::index`](crate::Verdict::index), over all workers.
    #[must_use]
    pub fn verdicts(&self) -> [u64; Verdict::COUNT] {
        let mut verdicts = [0; Verdict::COUNT];
        let mut add = |counts: [u64; Verdict::COUNT]| {
            for (verdict, count) in verdicts.iter_mut().zip(counts) {
                *verdict = u64::wrapping_add(*verdict, count);
            }
        };
        for backend in self.backend_counters {
            add([0, backend.tx.load(), backend.redirect.load(), 0]);
        }
        for worker in self.packet_counters {
            add(worker.verdicts.each_ref().map(Shared::<u64>::load));
        }
        verdicts
    }

    /// A slot of the choice table.
    #[must_use]
    pub fn choice(&self, slot: u32) -> Option<&'m Shared<u32>> {
        let word = at(self.choices, slot / ChoiceWord::SLOTS)?;
        word.slots.get((slot % ChoiceWord::SLOTS) as usize)
    }
}

/// One worker's view of the tables, with its clock.
pub struct Worker<'m> {
    memory: Memory<'m>,
    number: usize,
    now: Cell<u32>,
    /// What is known of the packet's checksum; nothing where the settings decide.
    keeps_partial_checksum: Cell<Option<bool>>,
}

impl<'m> Worker<'m> {
    /// The view of worker `number`, whose clock stands at `now`.
    #[must_use]
    pub fn new(memory: Memory<'m>, number: usize, now: u32) -> Self {
        Self {
            memory,
            number,
            now: Cell::new(now),
            keeps_partial_checksum: Cell::new(None),
        }
    }

    /// Sets the clock; once per batch of packets is enough.
    pub fn set_now(&self, now: u32) {
        self.now.set(now);
    }

    /// Says whether the next packet's checksum was left to a NIC, and will be known to be when it is sent on. If not, a
    /// finished one that looks the same, as one in 65,536 does, is finished anew and right.
    pub fn set_partial_checksum(&self, partial: bool) {
        self.keeps_partial_checksum.set(Some(partial));
    }
}

fn at<T>(table: &[T], index: u32) -> Option<&T> {
    table.get(usize::try_from(index).ok()?)
}

impl Tables for Worker<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(self.memory.settings)
    }

    fn service_slot(&self, index: u32) -> Option<&ServiceSlot> {
        at(self.memory.service_slots, index)
    }

    fn service(&self, index: u32) -> Option<&Service> {
        at(self.memory.services, index)
    }

    fn choices(&self, index: u32) -> Option<&ChoiceWord> {
        at(self.memory.choices, index)
    }

    fn backend(&self, index: u32) -> Option<&Backend> {
        at(self.memory.backends, index)
    }

    fn source(&self, index: u32) -> Option<&Source> {
        at(self.memory.sources, index)
    }

    fn bucket_v4(&self, index: u32) -> Option<&Bucket<V4>> {
        at(self.memory.buckets_v4, index)
    }

    fn bucket_v6(&self, index: u32) -> Option<&Bucket<V6>> {
        at(self.memory.buckets_v6, index)
    }

    fn datagrams(&self, index: u32) -> Option<&Datagrams> {
        at(self.memory.datagrams, index)
    }

    fn border(&self, index: u32) -> Option<&Border> {
        at(self.memory.borders, index)
    }

    fn quotas(&self, index: u32) -> Option<&Quotas> {
        at(self.memory.quotas, index)
    }

    fn account(&self, index: u32) -> Option<&Account> {
        at(self.memory.accounts, index)
    }

    fn ended(&self, index: u32) -> Option<&Ended> {
        let first = u32::try_from(self.number).ok()?.checked_mul(Ended::ROWS)?;
        at(self.memory.ended, first.checked_add(index)?)
    }

    fn ends(&self) -> Option<&Ends> {
        self.memory.ends.get(self.number)
    }

    fn watch(&self) -> Option<&Watch> {
        Some(self.memory.watch)
    }

    fn note(&self) -> Option<&Note> {
        self.memory.notes.get(self.number)
    }

    fn packet_counters(&self) -> Option<&PacketCounters> {
        self.memory.packet_counters.get(self.number)
    }

    fn backend_counters(&self, settings: &Settings, backend: u32) -> Option<&BackendCounters> {
        let capacity = settings.backend_capacity.load();
        if backend >= capacity {
            return None;
        }
        let first = u32::try_from(self.number).ok()?.checked_mul(capacity)?;
        at(self.memory.backend_counters, first.checked_add(backend)?)
    }

    fn sum<const N: usize>(&self, bytes: &[u8; N]) -> Sum {
        Sum::ZERO.add_slice(bytes)
    }

    fn keeps_partial_checksum(&self, settings: &Settings) -> bool {
        self.keeps_partial_checksum
            .get()
            .unwrap_or_else(|| settings.partial_checksums.load() != COMPLETE_PARTIAL)
    }

    fn resize(&self, packet: &mut Packet<'_>, start: i32, end: i32) -> bool {
        packet.resize(start as isize, end as isize)
    }

    fn now(&self) -> u32 {
        self.now.get()
    }
}
