//! The tables of [`super::flows`].

use super::report::{Row, Table, columns};

/// What was measured with so many live flows, in nanoseconds unless said otherwise.
#[derive(Debug)]
pub(super) struct Figures {
    /// Live flows.
    pub(super) flows: u32,
    /// Part of the flows that found no room when the table was filled.
    pub(super) refused: f64,
    /// Part of those that found none afterwards.
    pub(super) refused_more: f64,
    /// A packet of an established flow through all of the packet path, above its wrapper.
    pub(super) established: f64,
    /// A packet of no flow, likewise.
    pub(super) unknown: f64,
    /// The first packet of a flow, likewise: two entries are inserted.
    /// `None` where too few are opened to be timed.
    pub(super) opening: Option<f64>,
    /// The look-up alone.
    pub(super) hit: Kinds,
    /// The look-up alone, in vain.
    pub(super) miss: Kinds,
    /// An insertion into the kernel's hash, and into its LRU hash.
    pub(super) insert: [f64; 2],
    /// A removal; from the flow table by the daemon's sweep, both entries.
    pub(super) remove: Kinds,
    /// A sweep with nothing to remove, per live flow.
    pub(super) scan: f64,
    /// Bytes per flow.
    pub(super) memory: Kinds,
}

/// Of the flow table, and of the kernel's tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kinds {
    /// The flow table.
    pub(super) table: f64,
    /// The kernel's hash.
    pub(super) hash: f64,
    /// The kernel's LRU hash.
    pub(super) lru: f64,
}

/// Live flows, and nanoseconds above the floor that an established flow's packet may take.
const GOALS: [(u32, f64); 3] = [(1 << 16, 70.0), (1 << 20, 105.0), (1 << 22, 140.0)];

/// The tables of the report.
#[must_use]
pub(super) fn tables(measured: &[Figures]) -> Vec<Table> {
    vec![path(measured), look_ups(measured), changes(measured)]
}

fn path(measured: &[Figures]) -> Table {
    let rows = measured.iter().map(|figures| {
        let goal = GOALS.iter().find(|(flows, _)| *flows == figures.flows);
        let values = [
            Some(figures.established),
            goal.map(|(_, goal)| *goal),
            Some(figures.established / figures.hit.hash),
            Some(figures.unknown),
            figures.opening,
            figures.opening.map(|opening| opening / figures.insert[0]),
        ];
        Row::new(name(figures), values)
    });
    Table {
        name: "flows_path",
        title:
            "Many flows in random order, TCP v4: nanoseconds above the floor, through all of the packet path"
                .to_owned(),
        notes: vec!["Minimum of the measurements. The goals are not scaled to this machine.".to_owned()],
        columns: columns(&[
            ("established_ns", "established ns", 1),
            ("goal_ns", "goal ns", 0),
            ("established_to_hash_hit", "× kernel hash look-up alone", 2),
            ("unknown_ns", "unknown ns", 1),
            ("new_ns", "new ns", 1),
            ("new_to_hash_insert", "× kernel hash insert alone", 2),
        ]),
        rows: rows.collect(),
    }
}

fn look_ups(measured: &[Figures]) -> Table {
    let rows = measured.iter().map(|figures| {
        let Figures { hit, miss, .. } = figures;
        let values = [
            hit.table,
            hit.hash,
            hit.lru,
            hit.table / hit.hash,
            miss.table,
            miss.hash,
            miss.lru,
            miss.table / miss.hash,
        ];
        Row::new(name(figures), values.map(Some))
    });
    Table {
        name: "flows_look_up",
        title: "Look-ups alone, many flows in random order: nanoseconds".to_owned(),
        notes: vec![
            "Same keys of 16 bytes in the same order. The flow table has two entries for each flow, the kernel's \
             tables one, at twice the room."
                .to_owned(),
        ],
        columns: columns(&[
            ("hit_ns", "hit ns", 1),
            ("hit_hash_ns", "kernel hash", 1),
            ("hit_lru_ns", "kernel LRU", 1),
            ("hit_to_hash", "× hash", 2),
            ("miss_ns", "miss ns", 1),
            ("miss_hash_ns", "kernel hash", 1),
            ("miss_lru_ns", "kernel LRU", 1),
            ("miss_to_hash", "× hash", 2),
        ]),
        rows: rows.collect(),
    }
}

fn changes(measured: &[Figures]) -> Table {
    let rows = measured.iter().map(|figures| {
        let Figures { remove, memory, .. } = figures;
        let values = [
            figures.insert[0],
            figures.insert[1],
            remove.table,
            remove.hash,
            remove.lru,
            figures.scan,
            memory.table,
            memory.hash,
            memory.lru,
            100.0 * figures.refused,
            100.0 * figures.refused_more,
        ];
        Row::new(name(figures), values.map(Some))
    });
    Table {
        name: "flows_change",
        title: "Flows that come and go: nanoseconds per flow; memory".to_owned(),
        notes: vec![
            "Removal from the flow table is by the daemon's sweep in mapped memory, without its looking around, \
             which is the scan. Memory per flow: both entries and the room to stay half full. Refused: flows that \
             found no room when the table was filled with as many as it is made for, and of a sixteenth more."
                .to_owned(),
        ],
        columns: columns(&[
            ("insert_hash_ns", "insert: kernel hash", 1),
            ("insert_lru_ns", "kernel LRU", 1),
            ("expire_ns", "remove ns", 1),
            ("remove_hash_ns", "kernel hash", 1),
            ("remove_lru_ns", "kernel LRU", 1),
            ("scan_ns", "scan ns/live flow", 2),
            ("bytes", "bytes/flow", 0),
            ("bytes_hash", "kernel hash", 0),
            ("bytes_lru", "kernel LRU", 0),
            ("refused_percent", "refused while filling %", 3),
            ("refused_more_percent", "when full %", 3),
        ]),
        rows: rows.collect(),
    }
}

fn name(figures: &Figures) -> String {
    format!("{} flows", figures.flows)
}
