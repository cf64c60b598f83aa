//! The daemon's part: expiring and listing flows in the mapped table.

use std::time::{Duration, Instant};

use lb_common::{
    V4,
    flow::{self, Entry, Hit, Limits, State},
    memory::{Memory, Worker},
};
use lb_user::dataplane::Object;

use crate::client::{Clients, ends, ends_of, mac, number, own_mac};

/// The flow table's clock, told by this process's: never ahead of it.
pub(crate) struct Clock {
    first: u32,
    start: Instant,
    tick: Duration,
}

impl Clock {
    pub(crate) fn new(object: &mut Object) -> Self {
        Self {
            first: object.now().unwrap(),
            start: Instant::now(),
            tick: object.tick(),
        }
    }

    fn now(&self) -> u32 {
        let ticks = self.start.elapsed().as_nanos() / self.tick.as_nanos();
        self.first.wrapping_add(u32::try_from(ticks).unwrap())
    }

    fn ticks(&self, time: Duration) -> u32 {
        u32::try_from(time.as_nanos() / self.tick.as_nanos()).unwrap()
    }
}

/// Expires and lists.
pub(crate) struct Daemon<'m> {
    memory: Memory<'m>,
    worker: Worker<'m>,
    clock: Clock,
    clients: &'m Clients,
    /// Flows that were expired.
    pub(crate) removed: u64,
    /// Entries that were read whole.
    pub(crate) listed: u64,
}

impl<'m> Daemon<'m> {
    pub(crate) fn new(memory: &Memory<'m>, worker: Worker<'m>, clock: Clock, clients: &'m Clients) -> Self {
        Self {
            memory: *memory,
            worker,
            clock,
            clients,
            removed: 0,
            listed: 0,
        }
    }

    /// Goes through the table once.
    pub(crate) fn look(&mut self) {
        let limits = Limits {
            // A sender that waits that long for a CPU loses the flow that it keeps.
            established: self.clock.ticks(Duration::from_secs(10)),
            half_open: 2,
            closed: 1,
        };
        let now = self.clock.now();
        self.worker.set_now(now);
        for (bucket, entries) in (0..).zip(self.memory.buckets_v4) {
            self.removed += u64::from(flow::sweep::<V4, _>(&self.worker, bucket, now, |_| limits));
            for entry in &entries.0 {
                self.list(entry);
            }
        }
    }

    /// Reads an entry whole and checks that all of it belongs together.
    fn list(&mut self, entry: &Entry<V4>) {
        let hit = Hit::at(entry, 0);
        let (state, read) = (hit.control.state(), entry.flow());
        if !state.has(State::READY) || !hit.is_current() {
            return;
        }
        let (sent, left) = if state.has(State::REPLY) {
            (read.to.reversed(), read.key.reversed())
        } else {
            (read.key, read.to)
        };
        let client = number(ends_of(&sent).from);
        assert_eq!(ends_of(&sent), ends(client));
        self.clients.check(client, ends_of(&left));
        let ways = [false, true].map(|moved| (mac(client, moved), own_mac(client, moved)));
        assert!(
            ways.contains(&(read.client.link.src(), read.client.link.dst())),
            "client {client}: {read:?}"
        );
        self.listed += 1;
    }
}
