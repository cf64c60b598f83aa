//! Where engines show packets to who watches.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lb_common::watch::Sighting;
use tokio::sync::mpsc;

/// Sightings that may wait to be looked at; what comes then is lost.
const WAITING: usize = 4096;

/// A packet as it was shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// By which worker.
    pub worker: u32,
    /// What was said of it.
    pub sighting: Sighting,
    /// Its first bytes.
    pub frame: Vec<u8>,
}

/// Where packets are shown; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sink {
    sender: mpsc::Sender<Shown>,
    lost: Lost,
}

/// How many sightings there was no room for.
#[derive(Debug, Clone, Default)]
pub struct Lost(Arc<AtomicU64>);

impl Lost {
    /// So many until now.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sink {
    /// One, the end where packets come out, and how many did not.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Shown>, Lost) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let lost = Lost::default();
        let sink = Self {
            sender,
            lost: lost.clone(),
        };
        (sink, receiver, lost)
    }

    /// Shows a packet, if there is room.
    pub(crate) fn show(&self, shown: Shown) {
        if self.sender.try_send(shown).is_err() {
            self.lose(1);
        }
    }

    /// So many could not even be brought here.
    pub(crate) fn lose(&self, count: u64) {
        self.lost.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether nobody looks any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until nobody looks any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}
