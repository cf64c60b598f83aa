//! Where cases are timed: the programs over tables with flows in them.

use anyhow::{Context as _, Result, ensure};
use lb_common::{
    Tables as _, V4, V6, Verdict,
    flow::{self, Limits},
    memory::Memory,
};
use lb_user::dataplane::Capacity;

use super::case::{Case, Packets};
use crate::{
    Family,
    bench::{
        kernel::{Course, Kernel, Order, action},
        sample::Sample,
        scene::{INTERFACE, Scene},
        timing::{Timed, once},
    },
};

/// Room for flows: small enough for its table to stay in the CPU's second-level cache.
const FLOWS: u32 = 1024;

/// Clients that open flows: more than one measurement needs, so that each is new.
const OPENING: Course = Course {
    first: 0,
    count: 1 << 24,
    order: Order::Random,
};

/// A case, and what was measured of it: nanoseconds.
pub(super) struct Measured {
    pub(super) case: Case,
    frame: Vec<u8>,
    /// Of a program that does nothing.
    pub(super) floor: Sample,
    /// Of the wrapper alone.
    alone: Sample,
    /// Of the packet path in its wrapper.
    whole: Sample,
}

impl Measured {
    /// Adds one round's times, as [`Bench::time`] returns them.
    pub(super) fn push(&mut self, [floor, alone, whole]: [f64; 3]) {
        self.floor.push(floor);
        self.alone.push(alone);
        self.whole.push(whole);
    }

    /// That figure of the packet path, without its wrapper.
    pub(super) fn net(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        figure(&self.whole) - figure(&self.alone)
    }
}

/// The programs over three sets of tables, for what goes on in one must not disturb the flows of another.
pub(super) struct Bench {
    /// All backends are behind the interface that frames come in by.
    here: Kernel,
    /// They are behind another one.
    across: Kernel,
    /// Flows come and go.
    opening: Kernel,
}

impl Bench {
    pub(super) fn new() -> Result<Self> {
        let mut opening = kernel(INTERFACE)?;
        opening.set_course(OPENING)?;
        Ok(Self {
            here: kernel(INTERFACE)?,
            across: kernel(INTERFACE + 1)?,
            opening,
        })
    }

    /// Makes a case's packet, of a client of its own.
    pub(super) fn prepare(&mut self, case: Case, client: u32) -> Result<Measured> {
        let frame = case.frame(client, self.kernel(case.packet));
        let frame = frame.with_context(|| format!("case `{}`", case.name))?;
        Ok(Measured {
            case,
            frame,
            floor: Sample::default(),
            alone: Sample::default(),
            whole: Sample::default(),
        })
    }

    /// Times the floor, the wrapper alone and the packet path in it, one after the other.
    pub(super) fn time(&mut self, measured: &Measured, repeat: u32) -> Result<[f64; 3]> {
        let Measured { case, frame, .. } = measured;
        let opens = matches!(case.packet, Packets::First(_));
        let kernel = self.kernel(case.packet);
        kernel.set_header(frame)?;
        if opens {
            forget_flows(kernel)?;
        }
        let before = packets(&kernel.memory());
        let whole = Timed {
            program: case.programs.0,
            frame,
            // New flows may be refused, and are counted.
            action: (!opens).then_some(case.action),
        };
        let times = [
            once(kernel, &Timed::tx("floor_tx", frame), repeat)?,
            once(kernel, &Timed::tx(case.programs.1, frame), repeat)?,
            once(kernel, &whole, repeat)?,
        ];
        all_went_the_same_way(case, repeat, before, packets(&kernel.memory()))?;
        Ok(times)
    }

    fn kernel(&mut self, packet: Packets) -> &mut Kernel {
        match packet {
            Packets::First(_) => &mut self.opening,
            Packets::Across => &mut self.across,
            Packets::Forth(_)
            | Packets::Back(_)
            | Packets::Unfinished
            | Packets::Stray
            | Packets::Other
            | Packets::Near
            | Packets::NotIp => &mut self.here,
        }
    }
}

/// Tables whose backends are all behind one interface.
fn kernel(towards: u32) -> Result<Kernel> {
    let scene = Scene::new(&[Family::V4, Family::V6], FLOWS, towards)?;
    let kernel = Kernel::load(&scene.capacity()?, &[])?;
    scene.install(&kernel.memory())?;
    Ok(kernel)
}

/// Removes the flows of the measurement before.
fn forget_flows(kernel: &mut Kernel) -> Result<()> {
    let all = |_| Limits {
        established: 0,
        half_open: 0,
        closed: 0,
    };
    let worker = kernel.worker()?;
    for bucket in 0..Capacity::buckets(FLOWS) {
        flow::sweep::<V4, _>(&worker, bucket, worker.now(), all);
        flow::sweep::<V6, _>(&worker, bucket, worker.now(), all);
    }
    Ok(())
}

/// Packets so far, by verdict.
fn packets(memory: &Memory<'_>) -> [u64; Verdict::COUNT] {
    [0, 1, 2, 3].map(|verdict: usize| {
        let counters = memory.packet_counters.iter();
        counters.map(|counters| counters.verdicts[verdict].load()).sum()
    })
}

/// A time is worth something only if every packet took the way that is timed.
fn all_went_the_same_way(
    case: &Case,
    repeat: u32,
    before: [u64; Verdict::COUNT],
    after: [u64; Verdict::COUNT],
) -> Result<()> {
    let verdict = match case.action {
        action::PASS => 0,
        action::TX => 1,
        action::REDIRECT => 2,
        _ => 3,
    };
    let all = u64::from(repeat);
    let same = after[verdict] - before[verdict];
    // Of flows at random, a few find their buckets full.
    let strays = match case.packet {
        Packets::First(_) => all / 1000,
        _ => 0,
    };
    ensure!(
        same >= all - strays,
        "{same} of {all} packets were to {}; by verdict: {before:?}, then {after:?}",
        Verdict::NAMES[verdict]
    );
    Ok(())
}
