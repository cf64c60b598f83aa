//! Nanoseconds per packet with many live flows, met in random order: the flow table beside the kernel's hash
//! tables with the same keys in the same order.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context as _, Result, ensure};
use lb_common::{
    Address, Reason, Tables as _, V4,
    flow::{self, Bucket, Limits},
    memory::Memory,
};
use lb_user::dataplane::Capacity;

use super::{
    establish::establish,
    flows_report::{self, Figures, Kinds},
    kernel::{Course, Kernel, Order, action},
    report::Table,
    sample::Sample,
    scene::{Ends, INTERFACE, Kind, Protocol, Scene},
    timing::{Effort, Timed, in_turn, once},
};
use crate::Family;

/// Numbers of live flows.
pub const SIZES: [u32; 5] = [1 << 10, 1 << 16, 1 << 18, 1 << 20, 1 << 22];

/// The most flows that are opened at once, to be timed and then removed.
const MOST_OPENED: u32 = 1 << 16;

/// Where flows are fewer, those opened at once are too few to be timed.
const FEW: u32 = 1 << 14;

/// How many flows are opened beside those that are there. The table is full by its own measure: a few more must not
/// change that.
fn opened_at_once(flows: u32) -> u32 {
    (flows / 16).min(MOST_OPENED)
}

/// The kernel's tables with the same keys, and how the programs on them end.
const KERNEL_TABLES: [(&str, &str); 2] = [("KERNEL_HASH", "hash"), ("KERNEL_LRU", "lru")];

/// Measures at these numbers of live flows, all powers of two.
pub fn measure(effort: Effort, sizes: &[u32]) -> Result<Vec<Table>> {
    let mut measured = Vec::new();
    for flows in sizes {
        let figures = at(*flows, effort).with_context(|| format!("with {flows} flows"))?;
        measured.push(figures);
    }
    Ok(flows_report::tables(&measured))
}

fn at(flows: u32, effort: Effort) -> Result<Figures> {
    let mut bench = Bench::new(flows, effort)?;
    let refused = bench.fill()?;
    // Those that were refused are packets of no flow among the others.
    let hit = bench.look_ups(0, None)?;
    let miss = bench.look_ups(flows, Some(action::DROP))?;
    let change = bench.changes()?;
    Ok(Figures {
        flows,
        refused: f64::from(refused) / f64::from(flows),
        refused_more: 1.0 - change.opened.median() / f64::from(opened_at_once(flows)),
        established: hit.path,
        unknown: miss.path,
        opening: (flows > FEW).then(|| change.open.min()),
        hit: hit.look_ups,
        miss: miss.look_ups,
        insert: [change.insert[0].min(), change.insert[1].min()],
        remove: Kinds {
            table: (change.expire.min() - change.scan.min()) / change.opened.median(),
            hash: change.remove[0].min(),
            lru: change.remove[1].min(),
        },
        scan: change.scan.min() / f64::from(flows),
        memory: bench.memory()?,
    })
}

/// So many live flows.
struct Bench {
    kernel: Kernel,
    flows: u32,
    effort: Effort,
}

/// Times of packets with one outcome, in nanoseconds.
struct Times {
    /// Through all of the packet path, above the wrapper.
    path: f64,
    /// Of the look-up alone.
    look_ups: Kinds,
}

/// Times of flows that come and go, in nanoseconds: per flow, and of whole sweeps.
#[derive(Default)]
struct Changes {
    /// A new flow's first packet through all of the packet path, above the wrapper.
    open: Sample,
    /// An insertion in each of the kernel's tables.
    insert: [Sample; 2],
    /// A removal there.
    remove: [Sample; 2],
    /// The sweep that removes those flows.
    expire: Sample,
    /// The same sweep where they are gone.
    scan: Sample,
    /// How many there were.
    opened: Sample,
}

impl Bench {
    fn new(flows: u32, effort: Effort) -> Result<Self> {
        let scene = Scene::new(&[Family::V4], flows, INTERFACE)?;
        let sizes = KERNEL_TABLES.map(|(name, _)| (name, 2 * flows));
        let kernel = Kernel::load(&scene.capacity()?, &sizes)?;
        scene.install(&kernel.memory())?;
        // Filling takes most of the time; a third of the rounds is enough for a minimum.
        let rounds = effort.rounds.div_ceil(3);
        Ok(Self {
            kernel,
            flows,
            effort: Effort { rounds, ..effort },
        })
    }

    /// Establishes all flows, and puts their keys into the kernel's tables. Returns how many flows were refused.
    fn fill(&mut self) -> Result<u32> {
        let worker = self.kernel.worker()?;
        let mut refused = 0;
        for number in 0..self.flows {
            let client = Ends::of_client(number, Family::V4);
            refused += u32::from(establish(&worker, client, Protocol::Tcp)?.is_none());
        }
        ensure!(
            refused <= self.flows / 4,
            "{refused} of {} flows were refused: {:?}",
            self.flows,
            drops(&self.kernel.memory())
        );
        // In another order than they are met later: the kernel would find them in a row.
        let course = Course {
            first: 0,
            count: self.flows,
            order: Order::Rising,
        };
        let frame = self.head_for(course, Kind::Data)?;
        for (_, suffix) in KERNEL_TABLES {
            let program = format!("insert_{suffix}");
            once(&mut self.kernel, &Timed::tx(&program, &frame), self.flows)?;
        }
        Ok(refused)
    }

    /// Sends the wrappers through these clients. Returns the first one's frame.
    fn head_for(&mut self, course: Course, kind: Kind) -> Result<Vec<u8>> {
        let frame = |number| Ends::of_client(number, Family::V4).frame(Protocol::Tcp, kind, 22);
        self.kernel.set_header(&frame(0))?;
        self.kernel.set_course(course)?;
        Ok(frame(course.first))
    }

    /// Times packets of as many clients as there are flows, from number `first` on.
    fn look_ups(&mut self, first: u32, action: Option<u32>) -> Result<Times> {
        let course = Course {
            first,
            count: self.flows,
            order: Order::Random,
        };
        // What is not known is dropped only if it asks for no answer.
        let kind = if action.is_some() { Kind::Reset } else { Kind::Data };
        let frame = &self.head_for(course, kind)?;
        let timed = |program| Timed {
            program,
            frame,
            action,
        };
        let programs = [
            Timed::tx("next_v4_alone", frame),
            timed("next_v4"),
            Timed::tx("lookup_none", frame),
            timed("lookup_table"),
            timed("lookup_hash"),
            timed("lookup_lru"),
        ];
        let samples = in_turn(&mut self.kernel, self.effort, &programs)?;
        let above = |sample: usize, floor: usize| samples[sample].min() - samples[floor].min();
        Ok(Times {
            path: above(1, 0),
            look_ups: Kinds {
                table: above(3, 2),
                hash: above(4, 2),
                lru: above(5, 2),
            },
        })
    }

    /// Opens flows beside those that are there, and removes them again.
    fn changes(&mut self) -> Result<Changes> {
        let count = opened_at_once(self.flows);
        let mut changes = Changes::default();
        for round in 0..self.effort.rounds {
            // Clients that were never there, not even as those of no flow.
            let course = Course {
                first: 2 * self.flows + round * count,
                count,
                order: Order::Random,
            };
            let frame = self.head_for(course, Kind::Open)?;
            let time = |bench: &mut Self, program: &str| {
                let timed = Timed {
                    program,
                    frame: &frame,
                    action: None,
                };
                once(&mut bench.kernel, &timed, count)
            };
            let alone = time(self, "next_v4_alone")?;
            changes.open.push(time(self, "next_v4")? - alone);
            let parsing = time(self, "lookup_none")?;
            for (index, (_, suffix)) in KERNEL_TABLES.iter().enumerate() {
                changes.insert[index].push(time(self, &format!("insert_{suffix}"))? - parsing);
                changes.remove[index].push(time(self, &format!("remove_{suffix}"))? - parsing);
            }
            let (with, removed) = self.sweep()?;
            let (without, _) = self.sweep()?;
            ensure!(removed > 0, "of {count} flows opened none was there to expire");
            changes.opened.push(f64::from(removed));
            changes.expire.push(with);
            changes.scan.push(without);
        }
        Ok(changes)
    }

    /// Removes all flows that never were answered. Returns the nanoseconds it took, and how many went.
    fn sweep(&mut self) -> Result<(f64, u32)> {
        let unanswered = |_| Limits {
            established: u32::MAX,
            half_open: 0,
            closed: u32::MAX,
        };
        let buckets = Capacity::buckets(self.flows);
        let worker = self.kernel.worker()?;
        let (start, now) = (Instant::now(), worker.now());
        let removed = (0..buckets).map(|bucket| flow::sweep::<V4, _>(&worker, bucket, now, unanswered));
        let removed = removed.sum();
        Ok((start.elapsed().as_secs_f64() * 1e9, removed))
    }

    /// Bytes per flow.
    fn memory(&self) -> Result<Kinds> {
        let of_kernel = |name| self.kernel.map_bytes(name);
        #[expect(clippy::cast_precision_loss, reason = "gigabytes at most")]
        let per_flow = |bytes: u64| bytes as f64 / f64::from(self.flows);
        Ok(Kinds {
            table: bytes_per_flow::<V4>(self.flows),
            hash: per_flow(of_kernel("KERNEL_HASH")?),
            lru: per_flow(of_kernel("KERNEL_LRU")?),
        })
    }
}

/// Bytes of the flow table per flow, where it is made for so many.
#[must_use]
pub fn bytes_per_flow<A: Address>(flows: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a bucket is a few cache lines")]
    let bucket = size_of::<Bucket<A>>() as f64;
    f64::from(Capacity::buckets(flows)) * bucket / f64::from(flows)
}

/// Packets dropped so far, by reason.
fn drops(memory: &Memory<'_>) -> BTreeMap<&'static str, u64> {
    let count = |reason: &Reason| -> u64 {
        let counters = memory.packet_counters.iter();
        counters
            .map(|counters| counters.reasons[*reason as usize].load())
            .sum()
    };
    let counts = Reason::ALL.iter().map(|reason| (reason.name(), count(reason)));
    counts.filter(|(_, count)| *count > 0).collect()
}
