//! Tables in plain memory, for tests of what reads and writes tables.

use lb_common::{
    V4, V6,
    flow::Bucket,
    layout::{
        Backend, BackendCounters, ChoiceWord, PacketCounters, PortFilter, Service, ServiceSlot, Settings,
        Source,
    },
    memory::Memory,
};

use super::{Capacity, fresh};

/// All tables.
pub(crate) struct Heap {
    settings: Settings,
    ports: Box<PortFilter>,
    service_slots: Vec<ServiceSlot>,
    services: Vec<Service>,
    choices: Vec<ChoiceWord>,
    backends: Vec<Backend>,
    sources: Vec<Source>,
    buckets_v4: Vec<Bucket<V4>>,
    buckets_v6: Vec<Bucket<V6>>,
    packet_counters: Vec<PacketCounters>,
    backend_counters: Vec<BackendCounters>,
}

impl Heap {
    /// Empty tables.
    pub(crate) fn new(capacity: &Capacity) -> Self {
        let heap = Self {
            settings: Settings::default(),
            ports: Box::default(),
            service_slots: rows(capacity.service_slots()),
            services: rows(capacity.services),
            choices: rows(capacity.choice_words()),
            backends: rows(capacity.backends),
            sources: rows(capacity.source_rows()),
            buckets_v4: rows(Capacity::buckets(capacity.flows_v4)),
            buckets_v6: rows(Capacity::buckets(capacity.flows_v6)),
            packet_counters: rows(capacity.workers),
            backend_counters: rows(capacity.workers * capacity.backends),
        };
        fresh::initialise(&heap.memory());
        heap
    }

    /// For reading and writing.
    pub(crate) fn memory(&self) -> Memory<'_> {
        Memory {
            settings: &self.settings,
            ports: &self.ports,
            service_slots: &self.service_slots,
            services: &self.services,
            choices: &self.choices,
            backends: &self.backends,
            sources: &self.sources,
            buckets_v4: &self.buckets_v4,
            buckets_v6: &self.buckets_v6,
            packet_counters: &self.packet_counters,
            backend_counters: &self.backend_counters,
        }
    }
}

fn rows<T: Default>(count: u32) -> Vec<T> {
    (0..count).map(|_| T::default()).collect()
}
