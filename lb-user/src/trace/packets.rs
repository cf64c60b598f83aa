//! Packets as they are shown, each put together from its two sightings.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lb_common::watch::Moment;
use nix::{
    net::if_::if_indextoname,
    time::{ClockId, clock_gettime},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, interval, sleep_until},
};

use crate::{
    dataplane::{Lost, SharedTables, Shown},
    flows,
};

/// How often it is looked whether packets were left out.
const LOOK: Duration = Duration::from_secs(1);

/// Names by rows.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Of services and backends, by the backend's row.
    pub backends: flows::Names,
    /// Of services, by their own.
    pub services: BTreeMap<u32, String>,
}

/// Packets that are watched for as long as this is there.
pub struct Watched {
    /// What comes.
    pub packets: mpsc::Receiver<Shown>,
    /// How many were lost on the way.
    pub lost: Lost,
    /// What rows are called, which may change meanwhile.
    pub names: watch::Receiver<Arc<Names>>,
    /// The packet path's tables, which say how many were not shown.
    pub tables: SharedTables,
    /// Which watch it is.
    pub number: u32,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// A packet that was watched.
#[derive(Debug)]
pub(super) struct Pair {
    /// As it came in.
    pub(super) before: Shown,
    /// What became of it.
    pub(super) after: Shown,
}

/// What happens while packets are watched.
#[derive(Debug)]
pub(super) enum Event {
    /// A packet was on its way.
    Packet(Box<Pair>),
    /// So many more were not shown.
    Unshown(u64),
}

/// Packets that are watched, up to a number and for a time.
pub(super) struct Packets {
    watched: Watched,
    /// Those of which the worker has only shown how they came in.
    begun: HashMap<u32, Shown>,
    /// How many may still come.
    left: u64,
    until: Option<Instant>,
    looks: Interval,
    /// How many were not shown, as far as that was told.
    told: u64,
    /// The system's start.
    start: SystemTime,
    interfaces: HashMap<u32, String>,
}

impl Packets {
    pub(super) fn new(watched: Watched, most: u64, time: Option<Duration>) -> Self {
        let uptime = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Self {
            watched,
            begun: HashMap::new(),
            left: most,
            until: time.map(|time| Instant::now() + time),
            looks: interval(LOOK),
            told: 0,
            start: SystemTime::now() - uptime,
            interfaces: HashMap::new(),
        }
    }

    /// What happens next; nothing when all that was asked for has happened.
    pub(super) async fn next(&mut self) -> Option<Event> {
        while self.left > 0 {
            let until = self.until;
            tokio::select! {
                shown = self.watched.packets.recv() => match shown {
                    None => self.left = 0,
                    Some(shown) => if let Some(pair) = self.put_together(shown) {
                        self.left -= 1;
                        return Some(Event::Packet(Box::new(pair)));
                    }
                },
                _ = self.looks.tick() => if let Some(count) = self.unshown() {
                    return Some(Event::Unshown(count));
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => self.left = 0,
            }
        }
        self.unshown().map(Event::Unshown)
    }

    /// What rows are called now.
    pub(super) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.watched.names.borrow())
    }

    /// When a packet was seen.
    pub(super) fn time(&self, shown: &Shown) -> SystemTime {
        self.start + Duration::from_nanos(shown.sighting.when)
    }

    /// Name of the interface that a packet came in by.
    pub(super) fn interface(&mut self, shown: &Shown) -> &str {
        let number = shown.sighting.interface;
        self.interfaces.entry(number).or_insert_with(|| {
            let name = if_indextoname(number).ok();
            name.and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| number.to_string())
        })
    }

    /// A packet, once it has been seen twice. A sighting that has lost its other one says nothing.
    fn put_together(&mut self, shown: Shown) -> Option<Pair> {
        let sighting = shown.sighting;
        if sighting.watch != self.watched.number {
            return None;
        }
        if sighting.moment == Moment::BEFORE.0 {
            self.begun.insert(shown.worker, shown);
            return None;
        }
        let before = self.begun.remove(&shown.worker)?;
        let is_same = before.sighting.number == sighting.number;
        (is_same && sighting.wanted != 0).then_some(Pair { before, after: shown })
    }

    /// How many more were not shown, if that is more than was told.
    fn unshown(&mut self) -> Option<u64> {
        let notes = self.watched.tables.memory().notes;
        let too_many: u64 = notes.iter().map(|note| u64::from(note.unshown.load())).sum();
        let now = too_many + self.watched.lost.count();
        let more = now.saturating_sub(self.told);
        self.told = self.told.max(now);
        (more > 0).then_some(more)
    }
}
