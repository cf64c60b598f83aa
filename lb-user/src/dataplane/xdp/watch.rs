//! Packets that the kernel's programs show: read from a buffer of each CPU, which is there as long as somebody watches.

use std::io;

use aya::{
    maps::{
        MapData,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use lb_common::watch::Sighting;
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinSet,
};
use tracing::warn;

use super::Object;
use crate::dataplane::{Shown, Sink};

/// Pages of each CPU's buffer: as many as a process may have without a right of its own (`kernel.perf_event_mlock_kb`).
const PAGES: usize = 128;

/// Reads what all CPUs show until this is dropped, which ends the tasks.
#[derive(Debug)]
pub(super) struct Readers {
    _tasks: JoinSet<()>,
}

impl Readers {
    /// Opens the buffers. To be called on the daemon's runtime.
    pub(super) fn start(object: &mut Object, sink: &Sink) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        for cpu in online_cpus().map_err(|(_, error)| error)? {
            let buffer = object
                .sightings
                .open(cpu, Some(PAGES))
                .map_err(io::Error::other)?;
            let sink = sink.clone();
            tasks.spawn(async move {
                if let Err(error) = read(buffer, cpu, sink).await {
                    warn!(cpu, %error, "packets of a CPU are shown no more");
                }
            });
        }
        Ok(Self { _tasks: tasks })
    }
}

async fn read(buffer: PerfEventArrayBuffer<MapData>, cpu: u32, sink: Sink) -> io::Result<()> {
    // SAFETY: the buffer has one descriptor, which it opens when it is made and closes when it is dropped.
    let mut buffer = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) }?;
    loop {
        let mut guard = buffer.readable_mut().await?;
        guard.clear_ready();
        guard.get_inner_mut().for_each(|event| match event {
            PerfEvent::Sample { head, tail } => match shown(cpu, &[head, tail].concat()) {
                Some(shown) => sink.show(shown),
                None => sink.lose(1),
            },
            PerfEvent::Lost { count } => sink.lose(count),
        });
    }
}

/// What the kernel has written: behind the frame may be some bytes for its alignment.
fn shown(worker: u32, sample: &[u8]) -> Option<Shown> {
    let sighting = Sighting::from_bytes(sample)?;
    let length = usize::try_from(sighting.shown).ok()?;
    let frame = sample.get(Sighting::LEN..)?.get(..length)?.to_vec();
    Some(Shown {
        worker,
        sighting,
        frame,
    })
}
