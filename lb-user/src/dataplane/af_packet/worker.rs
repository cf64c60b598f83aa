//! A thread that forwards.

use std::{
    io, iter,
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lb_common::{
    memory::{Heap, Worker},
    process, watch,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};

use super::{
    batch::{Batch, Kind},
    sockets::Group,
    watch::{Audience, View},
};

/// How often a socket is emptied before the others have their turn.
const TURNS: usize = 4;

/// Frames that were to be looked at or forwarded, and were not.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Longer than there is room for.
    pub(super) truncated: AtomicU64,
    /// The kernel could not hand them over.
    pub(super) unread: AtomicU64,
    /// The kernel or the egress did not take them.
    pub(super) unsent: AtomicU64,
}

/// What a thread works with.
pub(super) struct Forwarder {
    /// Which of the threads it is: its socket of each group, its row of counters.
    pub(super) number: usize,
    pub(super) groups: Arc<Vec<Group>>,
    pub(super) sender: OwnedFd,
    pub(super) heap: Arc<Heap>,
    pub(super) lost: Arc<Lost>,
    pub(super) audience: Audience,
    /// Ends the thread when its other end is closed.
    pub(super) stop: OwnedFd,
    /// Whether packets travel to some backends within others.
    pub(super) encapsulates: bool,
}

impl Forwarder {
    /// Forwards until it is told to stop.
    pub(super) fn run(&self) {
        let tables = Worker::new(self.heap.memory(), self.number, now());
        let mut batch = Batch::new();
        let sockets = self.groups.iter().map(|group| group.sockets[self.number].as_fd());
        let mut polled: Vec<PollFd<'_>> = iter::once(self.stop.as_fd())
            .chain(sockets)
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        while let Some(sockets) = wait(&mut polled) {
            for (group, _) in self
                .groups
                .iter()
                .zip(sockets)
                .filter(|(_, socket)| has_news(socket))
            {
                self.take_turns(&mut batch, &tables, group);
            }
        }
    }

    fn take_turns(&self, batch: &mut Batch, tables: &Worker<'_>, group: &Group) {
        for _ in 0..TURNS {
            match batch.receive(&group.sockets[self.number]) {
                Ok(_) => {
                    tables.set_now(now());
                    self.forward(batch, tables, group.interface);
                }
                Err(error) => return self.missed(&error),
            }
            if !batch.is_full() {
                return;
            }
        }
    }

    fn forward(&self, batch: &mut Batch, tables: &Worker<'_>, interface: u32) {
        let (mut truncated, mut unsent) = (0, 0);
        let view = self.view();
        let way = Way {
            tables,
            interface,
            view: view.as_ref(),
        };
        for slot in batch.frames() {
            match batch.kind(slot) {
                Kind::Whole if self.encapsulates => {
                    unsent += forward_cut(batch, &self.sender, &way, slot);
                }
                Kind::Whole => unsent += way.decide(batch, slot),
                Kind::Truncated => truncated += 1,
                Kind::NotOurs => {}
            }
        }
        unsent += batch.send(&self.sender);
        self.lost.truncated.fetch_add(truncated, Ordering::Relaxed);
        self.lost.unsent.fetch_add(unsent, Ordering::Relaxed);
    }

    /// What packets are shown by, if somebody watches: of a batch the one and only cost is this look.
    fn view(&self) -> Option<View> {
        if self.heap.memory().watch.number.load() == 0 {
            return None;
        }
        self.audience.view(u32::try_from(self.number).ok()?)
    }

    /// A frame could not be handed over, or the interface is down or has gone.
    fn missed(&self, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN | libc::ENXIO) => {}
            _ => {
                self.lost.unread.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits until there is something, and returns where; `None` at the end, which is told first of all.
fn wait<'p, 'f>(polled: &'p mut [PollFd<'f>]) -> Option<&'p [PollFd<'f>]> {
    match poll(polled, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR | Errno::ENOMEM) => {}
        Err(_) => return None,
    }
    let (stop, sockets) = polled.split_first()?;
    (!has_news(stop)).then_some(sockets)
}

fn has_news(polled: &PollFd<'_>) -> bool {
    polled.any().unwrap_or(true)
}

/// How a batch's frames are decided on.
struct Way<'w> {
    tables: &'w Worker<'w>,
    /// Where they came in.
    interface: u32,
    view: Option<&'w View>,
}

impl Way<'_> {
    /// Decides on a frame; 1 if it cannot be sent as is decided.
    fn decide(&self, batch: &mut Batch, slot: usize) -> u64 {
        let Self {
            tables,
            interface,
            view,
        } = *self;
        tables.set_partial_checksum(batch.has_partial_checksum(slot));
        let possible = batch.decide(slot, interface, |packet| match view {
            None => process(packet, tables),
            Some(view) => watch(packet, tables, view, |packet| {
                let verdict = process(packet, tables);
                (verdict, verdict.index())
            }),
        });
        u64::from(!possible)
    }
}

/// Forwards a frame after it was cut to what it was merged from; how many frames could not be sent.
fn forward_cut(batch: &mut Batch, sender: &OwnedFd, way: &Way<'_>, slot: usize) -> u64 {
    let Some(segments) = batch.segments(slot) else {
        // The packet path finishes what is unfinished of a frame that is not merged.
        batch.forget_partial_checksum(slot);
        return way.decide(batch, slot);
    };
    // What came before goes out before.
    let mut unsent = batch.send(sender);
    for segment in segments {
        batch.replace(slot, &segment);
        unsent += way.decide(batch, slot);
        unsent += batch.send(sender);
    }
    unsent
}

/// How fast the clock goes.
pub(super) const TICKS_OF_A_SECOND: u32 = 1000;

/// Milliseconds, by the kernel's coarse clock: reading it costs no system call.
pub(super) fn now() -> u32 {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) else {
        return 0;
    };
    let milliseconds = time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000;
    // Wraps around: only differences count.
    u32::try_from(milliseconds & i64::from(u32::MAX)).unwrap_or_default()
}
