//! Packets that the threads show.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lb_common::{
    Packet,
    watch::{Sighting, Witness},
};
use nix::time::{ClockId, clock_gettime};

use crate::dataplane::{Shown, Sink};

/// Whom all threads show packets to, if somebody watches.
#[derive(Debug, Clone, Default)]
pub(super) struct Audience(Arc<Mutex<Option<Sink>>>);

impl Audience {
    /// Lets somebody watch, or nobody.
    pub(super) fn set(&self, sink: Option<Sink>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// What a thread shows packets by.
    pub(super) fn view(&self, worker: u32) -> Option<View> {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(View { sink, worker })
    }
}

/// What a thread shows packets by.
#[derive(Debug)]
pub(super) struct View {
    sink: Sink,
    worker: u32,
}

impl Witness for View {
    fn time(&self) -> u64 {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    fn show(&self, packet: &Packet<'_>, sighting: &Sighting) {
        let bytes = packet.bytes();
        let length = usize::try_from(sighting.shown).unwrap_or(usize::MAX);
        self.sink.show(Shown {
            worker: self.worker,
            sighting: *sighting,
            frame: bytes[..length.min(bytes.len())].to_vec(),
        });
    }
}
