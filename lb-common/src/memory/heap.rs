//! Tables that own their memory.

use alloc::boxed::Box;

use super::Memory;
use crate::{
    address::{V4, V6},
    flow::{Bucket, STRIDE},
    layout::{
        Account, Backend, BackendCounters, Border, ChoiceWord, DATAGRAM_ROWS, Datagrams, Ended, Ends, Note,
        PacketCounters, Quotas, Service, ServiceSlot, Settings, Source, VERSION, Watch,
    },
    shared::{Rows, Zeroable, zeroed},
};

/// Rows of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Slots of the service index: a power of two.
    pub service_slots: u32,
    /// Services.
    pub services: u32,
    /// Words of the choice table.
    pub choices: u32,
    /// Backends.
    pub backends: u32,
    /// Source addresses for full NAT.
    pub sources: u32,
    /// Buckets of the IPv4 flow table: a power of two, 2 at least.
    pub buckets_v4: u32,
    /// Buckets of the IPv6 flow table: a power of two, 2 at least.
    pub buckets_v6: u32,
    /// Rows of all lists of networks.
    pub borders: u32,
    /// Buckets of the table of sources' quotas: a power of two.
    pub quotas: u32,
    /// Threads that forward and count.
    pub workers: u32,
    /// Whether there is room for counts of each flow, and for flows that have ended.
    pub flow_log: bool,
}

impl Sizes {
    /// The smallest tables, for what uses few of them.
    pub const LEAST: Self = Self {
        service_slots: 1,
        services: 1,
        choices: 1,
        backends: 1,
        sources: 1,
        buckets_v4: 2,
        buckets_v6: 2,
        borders: 1,
        quotas: 1,
        workers: 1,
        flow_log: false,
    };

    /// Rows of the accounts: one for each entry of both flow tables.
    #[must_use]
    pub const fn accounts(&self) -> u32 {
        if self.flow_log {
            let buckets = self.buckets_v4.saturating_add(self.buckets_v6);
            buckets.saturating_mul(STRIDE)
        } else {
            1
        }
    }

    /// Rows of all workers' rings of flows that have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        if self.flow_log {
            self.workers.saturating_mul(Ended::ROWS)
        } else {
            1
        }
    }
}

/// Tables on the heap, for an engine in userspace. Only what is used of them takes memory.
pub struct Heap {
    settings: Box<Settings>,
    service_slots: Rows<ServiceSlot>,
    services: Rows<Service>,
    choices: Rows<ChoiceWord>,
    backends: Rows<Backend>,
    sources: Rows<Source>,
    buckets_v4: Rows<Bucket<V4>>,
    buckets_v6: Rows<Bucket<V6>>,
    datagrams: Rows<Datagrams>,
    borders: Rows<Border>,
    quotas: Rows<Quotas>,
    accounts: Rows<Account>,
    ended: Rows<Ended>,
    ends: Rows<Ends>,
    watch: Box<Watch>,
    notes: Rows<Note>,
    packet_counters: Rows<PacketCounters>,
    backend_counters: Rows<BackendCounters>,
}

impl Heap {
    /// Tables that are empty but for what their sizes say: the masks, the counters' room and the version.
    #[must_use]
    pub fn new(sizes: &Sizes) -> Self {
        let settings = zeroed::<Settings>();
        settings.service_mask.store(sizes.service_slots.wrapping_sub(1));
        settings.bucket_mask_v4.store(sizes.buckets_v4.wrapping_sub(1));
        settings.bucket_mask_v6.store(sizes.buckets_v6.wrapping_sub(1));
        settings.quota_mask.store(sizes.quotas.wrapping_sub(1));
        settings.backend_capacity.store(sizes.backends);
        settings.version.store(VERSION);
        Self {
            settings,
            service_slots: rows(sizes.service_slots),
            services: rows(sizes.services),
            choices: rows(sizes.choices),
            backends: rows(sizes.backends),
            sources: rows(sizes.sources),
            buckets_v4: rows(sizes.buckets_v4),
            buckets_v6: rows(sizes.buckets_v6),
            datagrams: rows(DATAGRAM_ROWS),
            borders: rows(sizes.borders),
            quotas: rows(sizes.quotas),
            accounts: rows(sizes.accounts()),
            ended: rows(sizes.ended()),
            ends: rows(sizes.workers),
            watch: zeroed(),
            notes: rows(sizes.workers),
            packet_counters: rows(sizes.workers),
            backend_counters: rows(sizes.workers.saturating_mul(sizes.backends)),
        }
    }

    /// For reading, writing and forwarding by.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        Memory {
            settings: &self.settings,
            service_slots: &self.service_slots,
            services: &self.services,
            choices: &self.choices,
            backends: &self.backends,
            sources: &self.sources,
            buckets_v4: &self.buckets_v4,
            buckets_v6: &self.buckets_v6,
            datagrams: &self.datagrams,
            borders: &self.borders,
            quotas: &self.quotas,
            accounts: &self.accounts,
            ended: &self.ended,
            ends: &self.ends,
            watch: &self.watch,
            notes: &self.notes,
            packet_counters: &self.packet_counters,
            backend_counters: &self.backend_counters,
        }
    }
}

fn rows<T: Zeroable>(count: u32) -> Rows<T> {
    Rows::zeroed(usize::try_from(count).unwrap_or(usize::MAX))
}

macro_rules! zeroable {
    ($($record:ty),+) => {
        $(
            // SAFETY: a record of the tables, which hold cells and reserved integers.
            unsafe impl Zeroable for $record {}
        )+
    };
}

zeroable!(
    Settings,
    ServiceSlot,
    Service,
    ChoiceWord,
    Backend,
    Source,
    Bucket<V4>,
    Bucket<V6>
);
zeroable!(
    Datagrams,
    Border,
    Quotas,
    Account,
    Ended,
    Ends,
    Watch,
    Note,
    PacketCounters,
    BackendCounters
);
