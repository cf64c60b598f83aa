//! Backends that have the health of others.

use std::{
    collections::{BTreeMap, HashMap},
    iter,
};

use super::plan::Plan;
use crate::{
    config::{Config, types::Health},
    health::Event,
};

/// By the row of a backend that is checked, those of the backends that track it.
#[derive(Debug, Default)]
pub(super) struct Trackers(BTreeMap<u32, Vec<u32>>);

impl Trackers {
    pub(super) fn new(config: &Config, plan: &Plan) -> Self {
        let tracked = plan
            .configured(config)
            .filter_map(|(_, backend, row)| match &backend.health {
                Health::Checked(_) => None,
                Health::Tracked { service, backend } => Some(((service, backend), row)),
            });
        let tracked: Vec<_> = tracked.collect();
        if tracked.is_empty() {
            return Self::default();
        }
        let rows: HashMap<_, u32> = plan
            .configured(config)
            .map(|(service, backend, row)| ((&service.name, &backend.name), row))
            .collect();
        let mut trackers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (source, row) in tracked {
            if let Some(source) = rows.get(&source) {
                trackers.entry(*source).or_default().push(row);
            }
        }
        Self(trackers)
    }

    /// Whether a backend has any.
    pub(super) fn are_there(&self, row: u32) -> bool {
        self.0.contains_key(&row)
    }

    /// Those of a backend.
    pub(super) fn of(&self, row: u32) -> &[u32] {
        self.0.get(&row).map_or(&[], Vec::as_slice)
    }

    /// A result of a check as it is for each backend that it is about.
    pub(super) fn spread(&self, event: Event) -> impl Iterator<Item = Event> + use<> {
        let rows = self.of(event.id).iter();
        let others: Vec<Event> = rows
            .map(|id| Event {
                id: *id,
                ..event.clone()
            })
            .collect();
        iter::once(event).chain(others)
    }
}
