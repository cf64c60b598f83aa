//! Loading the eBPF object.

use std::{
    error::Error,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    time::Duration,
};

use anyhow::Chain;
use aya::{
    EbpfError, EbpfLoader, TestRun as _, TestRunOptions,
    maps::ProgramArray,
    programs::{ProgramError, Xdp as Program},
};
use lb_common::{layout, memory::Memory};

use super::{clock, tables};
use crate::dataplane::Capacity;

/// The object's programs and tables, loaded into the kernel, attached to nothing.
pub struct Object {
    pub(super) ebpf: aya::Ebpf,
    tables: tables::Tables,
    tick: Duration,
}

/// The object cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither root nor the capabilities that stand for it.
    #[error("loading the packet path needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted,
    /// The kernel refused a map or the object.
    #[error("the kernel does not take the packet path's tables: {0}")]
    Object(#[source] EbpfError),
    /// The kernel's verifier refused a program.
    #[error("the kernel refuses program `{program}`: {reason}")]
    Program {
        /// Its name in the object.
        program: &'static str,
        /// The last lines of the verifier's log.
        reason: String,
    },
    /// A table cannot be mapped.
    #[error("cannot map table {name}: {source}")]
    Map {
        /// Its name in the object.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel's clock cannot be read.
    #[error("cannot read the kernel's clock: {0}")]
    Clock(#[source] ProgramError),
}

impl Object {
    /// Names of the programs in the object.
    pub const PROGRAMS: [&'static str; 4] = ["ballast", "begin", "pass", "clock"];

    /// Loads the object that is built into this binary, with empty tables of the given size.
    pub fn load(capacity: &Capacity) -> Result<Self, LoadError> {
        let mut loader = EbpfLoader::new();
        for (name, rows) in tables::sizes(capacity) {
            loader.map_max_entries(name, rows);
        }
        let mut ebpf = loader.load(super::super::OBJECT).map_err(object_error)?;
        for name in Self::PROGRAMS {
            let program = program(&mut ebpf, name).map_err(|error| program_error(name, &error))?;
            program.load().map_err(|error| program_error(name, &error))?;
        }
        link_programs(&mut ebpf).map_err(|error| program_error("begin", &error))?;
        let tables = tables::Tables::map(&ebpf, capacity)?;
        let tick =
            clock::tick(program(&mut ebpf, "clock").map_err(LoadError::Clock)?).map_err(LoadError::Clock)?;
        let object = Self { ebpf, tables, tick };
        object.initialise(capacity);
        Ok(object)
    }

    /// The tables, for reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        self.tables.memory()
    }

    /// Length of a tick of the flow table's clock.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The flow table's clock now, in ticks.
    pub fn now(&mut self) -> Result<u32, ProgramError> {
        clock::now(program(&mut self.ebpf, "clock")?)
    }

    /// Runs a program on a frame in the kernel, without any interface (`BPF_PROG_TEST_RUN`). Returns its action
    /// and the frame as it left it.
    pub fn test_run(&mut self, name: &str, frame: &[u8]) -> Result<(u32, Vec<u8>), ProgramError> {
        let mut out = vec![0; frame.len() + 256];
        let program = program(&mut self.ebpf, name)?;
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        let result = program.test_run(options)?;
        out.truncate(usize::try_from(result.data_size_out).unwrap_or_default());
        Ok((result.return_value, out))
    }

    /// The program of that name.
    pub fn program(&mut self, name: &str) -> Result<&mut Program, ProgramError> {
        program(&mut self.ebpf, name)
    }

    fn initialise(&self, capacity: &Capacity) {
        let settings = self.memory().settings;
        settings
            .bucket_mask_v4
            .store(Capacity::buckets(capacity.flows_v4) - 1);
        settings
            .bucket_mask_v6
            .store(Capacity::buckets(capacity.flows_v6) - 1);
        settings.service_mask.store(capacity.service_slots() - 1);
        settings.backend_capacity.store(capacity.backends.max(1));
        settings.seed.store(rand_seed());
        settings.version.store(layout::VERSION);
    }
}

fn program<'e>(ebpf: &'e mut aya::Ebpf, name: &str) -> Result<&'e mut Program, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}

/// The packet path is two programs, which go on in each other by tail calls: lets them find each other.
fn link_programs(ebpf: &mut aya::Ebpf) -> Result<(), ProgramError> {
    for (index, name) in (0..).zip(["ballast", "begin"]) {
        let program = program(ebpf, name)?
            .fd()?
            .try_clone()
            .map_err(ProgramError::IOError)?;
        let Some(map) = ebpf.map_mut("PROGRAMS") else {
            continue;
        };
        ProgramArray::try_from(map)?.set(index, &program, 0)?;
    }
    Ok(())
}

/// A secret that nobody outside can guess, from the operating system.
fn rand_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn object_error(error: EbpfError) -> LoadError {
    if is_not_permitted(&error) {
        LoadError::NotPermitted
    } else {
        LoadError::Object(error)
    }
}

fn program_error(program: &'static str, error: &ProgramError) -> LoadError {
    if is_not_permitted(error) {
        return LoadError::NotPermitted;
    }
    let text = error.to_string();
    // The verifier ends its log with what it refused and, after that, with its statistics.
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let reason = lines[lines.len().saturating_sub(12)..].join(" | ");
    LoadError::Program { program, reason }
}

/// EPERM only: EACCES, of the same `ErrorKind`, is how the verifier refuses.
fn is_not_permitted(error: &(dyn Error + 'static)) -> bool {
    Chain::new(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.raw_os_error() == Some(libc::EPERM))
}
