//! The packet path and the bench programs in the kernel, run without any interface (`BPF_PROG_TEST_RUN`).

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions, TestRunResult,
    maps::{Array, Map},
    programs::Xdp,
};
use lb_common::memory::{Memory, Worker};
use lb_user::dataplane::{Capacity, Object};
use nix::time::{ClockId, clock_gettime};

use super::shared_tables::SharedTables;
use crate::command;

/// Bytes of a header that the bench programs put back, in whole words.
const HEADER_WORDS: usize = 10;

/// The smallest tables, for what uses none of them.
pub const SMALLEST: Capacity = Capacity {
    services: 1,
    virtual_addresses: 1,
    choice_slots: 1,
    backends: 1,
    sources: 1,
    flows_v4: 1,
    flows_v6: 1,
    borders: 64,
    workers: 1,
    flow_log: false,
};

/// What a program did with a frame, and what that took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// The action of the last run.
    pub action: u32,
    /// Mean time of a run in nanoseconds.
    pub nanoseconds: f64,
}

/// XDP's actions, as include/uapi/linux/bpf.h numbers them.
pub mod action {
    /// The program has failed.
    pub const ABORTED: u32 = 0;
    /// Nobody gets the packet.
    pub const DROP: u32 = 1;
    /// The host gets it.
    pub const PASS: u32 = 2;
    /// It goes out where it came in.
    pub const TX: u32 = 3;
    /// It goes out elsewhere.
    pub const REDIRECT: u32 = 4;
}

/// Which clients' frames the wrappers that change the client go through.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// Number of the first client.
    pub first: u32,
    /// Their count, a power of two.
    pub count: u32,
    /// In which order.
    pub order: Order,
}

/// The order in which clients are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By their numbers.
    Rising,
    /// One that no cache can guess, the same each time.
    Random,
}

impl Order {
    /// What the bench programs know it by.
    fn multiplier(self) -> u64 {
        match self {
            Self::Rising => 1,
            // Knuth's for MMIX (TAOCP 3.3.4, table 1).
            Self::Random => 6_364_136_223_846_793_005,
        }
    }
}

/// Ballast's own programs and tables, and the bench programs over the same tables.
pub struct Kernel {
    object: Object,
    bench: Ebpf,
    /// The counters' rows, and the row after those of the CPUs.
    workers: u32,
    /// What a call takes without the runs.
    empty_call: Duration,
}

impl Kernel {
    /// Loads Ballast's object with tables of this capacity, and the bench object over the same tables. `sizes` are
    /// those of the bench object's own tables, as far as they matter.
    pub fn load(capacity: &Capacity, sizes: &[(&str, u32)]) -> Result<Self> {
        let mut object = Object::load(capacity)?;
        let shared = SharedTables::pin(&mut object)?;
        let file = object_file()?;
        let bytes = fs::read(&file)
            .with_context(|| format!("cannot read {}: run `cargo xtask build`", file.display()))?;
        let mut loader = EbpfLoader::new();
        for (name, path) in &shared.maps {
            loader.map_pin_path(name, path.as_path());
        }
        for (name, rows) in sizes {
            loader.map_max_entries(name, *rows);
        }
        let mut kernel = Self {
            object,
            bench: loader.load(&bytes).context("cannot load the bench object")?,
            workers: capacity.workers,
            empty_call: Duration::ZERO,
        };
        kernel.empty_call = kernel.time_empty_call()?;
        Ok(kernel)
    }

    /// Ballast's tables.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        self.object.memory()
    }

    /// Ballast's programs.
    pub fn object(&mut self) -> &mut Object {
        &mut self.object
    }

    /// The tables as the packet path in this process sees them, at the kernel's time.
    pub fn worker(&mut self) -> Result<Worker<'_>> {
        let now = self.object.now()?;
        Ok(Worker::new(self.object.memory(), self.workers as usize - 1, now))
    }

    /// Sets the header that the wrappers put back: the first bytes of `frame`.
    pub fn set_header(&mut self, frame: &[u8]) -> Result<()> {
        let mut words = [0_u64; HEADER_WORDS];
        for (word, bytes) in words.iter_mut().zip(frame.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        let mut header: Array<_, [u64; HEADER_WORDS]> = Array::try_from(self.map_mut("HEADER")?)?;
        Ok(header.set(0, words, 0)?)
    }

    /// Sets the clients that the wrappers go through.
    pub fn set_course(&mut self, course: Course) -> Result<()> {
        ensure!(
            course.count.is_power_of_two(),
            "{} clients are no power of two",
            course.count
        );
        let words = [
            u64::from(course.count) - 1,
            u64::from(course.first),
            course.order.multiplier(),
            0,
        ];
        let mut map: Array<_, [u64; 4]> = Array::try_from(self.map_mut("COURSE")?)?;
        Ok(map.set(0, words, 0)?)
    }

    /// Runs a bench program on `frame` so many times in a row.
    pub fn run(&mut self, program: &str, frame: &[u8], repeat: u32) -> Result<Run> {
        let (result, spent) = self.call(program, frame, repeat)?;
        // The kernel tells whole nanoseconds (`bpf_test_timer_continue` in net/bpf/test_run.c); what the runs took
        // of this thread's time has the digits after the point.
        let whole = f64::from(result.duration.subsec_nanos());
        let runs = spent.saturating_sub(self.empty_call).as_secs_f64() * 1e9;
        Ok(Run {
            action: result.return_value,
            nanoseconds: (runs / f64::from(repeat.max(1))).clamp(whole, whole + 1.0),
        })
    }

    /// What the kernel says of those runs, and the time of this thread that they took with all that is around them.
    fn call(&mut self, program: &str, frame: &[u8], repeat: u32) -> Result<(TestRunResult, Duration)> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::new()
        };
        let program = self.program(program)?;
        let start = cpu_time()?;
        let result = program.test_run(options)?;
        Ok((result, cpu_time()?.saturating_sub(start)))
    }

    /// The least that a call takes which has next to nothing to run. One run alone is called in another way.
    fn time_empty_call(&mut self) -> Result<Duration> {
        const CALLS: u32 = 20;
        let mut least = Duration::MAX;
        for _ in 0..CALLS {
            least = least.min(self.call("floor_tx", &[0; 64], 2)?.1);
        }
        Ok(least)
    }

    /// A bench program, which the verifier sees when it is first asked for: that takes its time.
    fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.bench.program_mut(name);
        let program: &mut Xdp = program
            .with_context(|| format!("there is no bench program `{name}`: run `cargo xtask build`"))?
            .try_into()?;
        if program.fd().is_err() {
            program
                .load()
                .with_context(|| format!("the kernel refuses bench program `{name}`"))?;
        }
        Ok(program)
    }

    /// Memory of a hash table of the bench object, in bytes, as the kernel accounts for it.
    pub fn map_bytes(&self, name: &str) -> Result<u64> {
        let Some(Map::HashMap(table) | Map::LruHashMap(table)) = self.bench.map(name) else {
            bail!("the bench object has no hash table {name}: run `cargo xtask build`");
        };
        let file = format!("/proc/self/fdinfo/{}", table.fd().as_fd().as_raw_fd());
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        let bytes = bytes.with_context(|| format!("no `memlock` in {file}"))?;
        bytes
            .trim()
            .parse()
            .with_context(|| format!("cannot understand {file}"))
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut Map> {
        self.bench
            .map_mut(name)
            .with_context(|| format!("the bench object has no table {name}"))
    }
}

/// What this thread has had of a CPU: what others take meanwhile does not count.
fn cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("cannot read this thread's clock")?;
    Ok(time.into())
}

/// The bench object: `BALLAST_BENCH_OBJECT`, else where `cargo xtask build` puts it.
fn object_file() -> Result<PathBuf> {
    match std::env::var_os("BALLAST_BENCH_OBJECT") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(command::target_directory()?.join("bpf/bench.bpf.o")),
    }
}
