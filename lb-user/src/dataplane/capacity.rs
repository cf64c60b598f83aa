//! How large the tables are.

use lb_common::{
    flow::ENTRIES,
    layout::{ChoiceWord, MAX_BACKENDS, MAX_BORDERS, Quotas},
    memory::Sizes,
};

/// Sizes of the tables, fixed when they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Services, counted once per address family of their backends.
    pub services: u32,
    /// Virtual addresses.
    pub virtual_addresses: u32,
    /// Slots of all choice tables together.
    pub choice_slots: u32,
    /// Backends.
    pub backends: u32,
    /// Source addresses for full NAT, besides one for each backend.
    pub sources: u32,
    /// IPv4 flows.
    pub flows_v4: u32,
    /// IPv6 flows.
    pub flows_v6: u32,
    /// Rows of all lists of networks.
    pub borders: u32,
    /// CPUs, or threads, that forward and count.
    pub workers: u32,
    /// Whether there is room for counts of each flow, and for flows that have ended.
    pub flow_log: bool,
}

impl Capacity {
    /// Buckets of a flow table for so many flows: a power of two, at most half full. When it is,
    /// seven of a thousand new flows find both their buckets full of active flows and are refused.
    #[must_use]
    pub fn buckets(flows: u32) -> u32 {
        let entries = flows.saturating_mul(2);
        let per_bucket = u32::try_from(ENTRIES / 2).unwrap_or(1);
        entries.div_ceil(per_bucket).max(2).next_power_of_two()
    }

    /// Flows that a table of so many buckets has room for: the inverse of [`Capacity::buckets`], but for its rounding.
    #[must_use]
    pub fn flows(buckets: u32) -> u32 {
        let per_bucket = u32::try_from(ENTRIES / 2).unwrap_or(1);
        buckets.saturating_mul(per_bucket) / 2
    }

    /// Rows of each table.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            service_slots: self.service_slots(),
            services: self.services.max(1),
            choices: self.choice_slots.div_ceil(ChoiceWord::SLOTS).max(1),
            backends: self.backends.max(1),
            sources: self.sources.saturating_add(self.backends).max(1),
            buckets_v4: Self::buckets(self.flows_v4),
            buckets_v6: Self::buckets(self.flows_v6),
            borders: self.borders.max(1),
            quotas: self.quotas(),
            workers: self.workers,
            flow_log: self.flow_log,
        }
    }

    /// The same with room to grow in all that a configuration grows by, since the tables keep their size for as
    /// long as packets are forwarded by them. Flows and CPUs are what they are said to be.
    #[must_use]
    pub fn with_room(&self) -> Self {
        let room = |count: u32, least: u32| count.saturating_add(count / 2).max(least);
        Self {
            services: room(self.services, 64),
            virtual_addresses: room(self.virtual_addresses, 64),
            choice_slots: room(self.choice_slots, 4 * 65_537),
            backends: room(self.backends, 64).min(MAX_BACKENDS),
            sources: room(self.sources, 64),
            // A new list is written beside those in force, wherever these are: whoever is attacked must not be told that
            // there is no room for one.
            borders: 3 * MAX_BORDERS,
            ..*self
        }
    }

    /// Buckets of the table of sources' quotas: a power of two. A place for every second flow that there is room for, at
    /// 24 bytes each.
    fn quotas(&self) -> u32 {
        let places = self.flows_v4.max(self.flows_v6) / 2;
        places.div_ceil(Quotas::PLACES).max(1).next_power_of_two()
    }

    /// Slots of the service index: a power of two, at most a quarter full, so that every virtual address finds a
    /// slot within the distance that a look-up goes.
    fn service_slots(&self) -> u32 {
        self.virtual_addresses
            .saturating_mul(4)
            .max(64)
            .next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_flow_table_is_half_full() {
        for flows in [1, 1000, 131_072, 1 << 20] {
            let entries = u64::from(Capacity::buckets(flows)) * ENTRIES as u64;
            assert!(
                entries >= 4 * u64::from(flows),
                "{flows} flows have {entries} entries"
            );
            assert!(Capacity::flows(Capacity::buckets(flows)) >= flows);
        }
    }
}
