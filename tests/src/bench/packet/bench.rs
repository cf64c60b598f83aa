//! Where cases are timed: the programs over tables with flows in them.

use std::collections::{HashMap, hash_map::Entry};

use anyhow::{Context as _, Result, ensure};
use lb_common::{
    Tables as _, V4, V6, Verdict,
    flow::{self, Limits},
};
use lb_user::{config::types::Mode, dataplane::Capacity};

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

/// The programs over several sets of tables, for what goes on in one must not disturb the flows of another.
#[derive(Default)]
pub(super) struct Bench(HashMap<Place, Kernel>);

/// What the tables of a case are, and what only others like it may do to them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    mode: Mode,
    /// Where the backends are.
    towards: u32,
    /// Whether flows come and go.
    opens: bool,
}

impl Bench {
    /// Makes a case's packet, of a client of its own.
    pub(super) fn prepare(&mut self, case: Case, client: u32) -> Result<Measured> {
        let place = case.place();
        let kernel = match self.0.entry(place) {
            Entry::Occupied(kernel) => kernel.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(place.kernel()?),
        };
        let frame = case.frame(client, kernel);
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
        let place = case.place();
        let kernel = self.0.get_mut(&place).context("a case without tables")?;
        kernel.set_header(frame)?;
        if place.opens {
            forget_flows(kernel)?;
        }
        let before = kernel.memory().verdicts();
        let left = [&vec![0; case.outer()], &frame[..]].concat();
        let whole = Timed {
            program: case.programs.0,
            frame: &left,
            // New flows may be refused, and are counted.
            action: (!place.opens).then_some(case.action),
        };
        let times = [
            once(kernel, &Timed::tx("floor_tx", frame), repeat)?,
            once(kernel, &Timed::tx(case.programs.1, frame), repeat)?,
            once(kernel, &whole, repeat)?,
        ];
        all_went_the_same_way(case, repeat, before, kernel.memory().verdicts())?;
        Ok(times)
    }
}

impl Case {
    fn place(&self) -> Place {
        Place {
            mode: self.mode,
            towards: match self.packet {
                Packets::Across => INTERFACE + 1,
                _ => INTERFACE,
            },
            opens: matches!(self.packet, Packets::First(_)),
        }
    }
}

impl Place {
    fn kernel(self) -> Result<Kernel> {
        let scene = Scene::in_mode(self.mode, &[Family::V4, Family::V6], FLOWS, self.towards)?;
        let mut kernel = Kernel::load(&scene.capacity()?, &[])?;
        scene.install(&kernel.memory())?;
        if self.opens {
            kernel.set_course(OPENING)?;
        }
        Ok(kernel)
    }
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
