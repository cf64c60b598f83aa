//! Loading the eBPF object.

use std::{error::Error, io, sync::Arc, time::Duration};

use anyhow::Chain;
use aya::{
    EbpfError, EbpfLoader, TestRun as _, TestRunOptions,
    maps::{MapData, PerfEventArray, ProgramArray},
    programs::{CgroupSockAddr, Program, ProgramError, ProgramInfo, SchedClassifier, Xdp},
};
use lb_common::{Stage, layout, memory::Memory};

use super::{
    Mode, adopt, clock,
    pins::{AdoptError, Pins},
    tables::{self, Tables},
};
use crate::dataplane::{Capacity, secret};

/// The object's programs and tables, loaded into the kernel, attached to nothing by themselves.
pub struct Object {
    pub(super) ebpf: aya::Ebpf,
    tables: Arc<Tables>,
    /// Where programs show packets.
    pub(super) sightings: PerfEventArray<MapData>,
    tick: Duration,
    adopted: bool,
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
    /// There are tables already, and they do not fit.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
}

/// The map by which the stages' programs find each other.
const PROGRAMS: &str = "PROGRAMS";

/// The map by which packets are shown. Never pinned: who watches is a daemon's own.
const SIGHTINGS: &str = "SIGHTINGS";

impl Object {
    /// The program that is attached to interfaces; it goes on in those of the other stages.
    pub(super) const BALANCER: &'static str = Stage::Follow.program();

    /// The program that is attached in its place as long as somebody watches.
    pub(super) const WATCH: &'static str = "watch";

    /// The program that translates what backends on this host answer.
    pub(super) const EGRESS: &'static str = "egress";

    /// The programs that lead connections of this host's own to backends.
    pub(super) const CONNECT: [&'static str; 2] = ["connect4", "connect6"];

    /// Names of the programs in the object.
    pub fn programs() -> impl Iterator<Item = &'static str> {
        Stage::ALL
            .into_iter()
            .map(Stage::program)
            .chain(["pass", "clock", Self::WATCH, Self::EGRESS])
            .chain(Self::CONNECT)
    }

    /// Loads the object that is built into this binary, with empty tables that have room for `capacity`.
    pub fn load(capacity: &Capacity) -> Result<Self, LoadError> {
        let object = Self::load_by(&mut loader(capacity), false)?;
        object.initialise();
        Ok(object)
    }

    /// Loads it over the tables that are pinned, if packets are forwarded by them: the flows in them live on. Else
    /// the tables are empty, and pinned. Either way they have room for `capacity`.
    ///
    /// Tables that have not, or that are forwarded by in another mode than is `wanted`, are refused and left alone.
    pub fn load_pinned(capacity: &Capacity, wanted: Option<Mode>, pins: &Pins) -> Result<Self, LoadError> {
        let adopted = pins.are_in_force();
        if adopted {
            adopt::check(pins, capacity, wanted)?;
            adopt::renew_flow_log(pins, capacity);
        } else {
            pins.clear();
        }
        let mut loader = loader(&capacity.with_room());
        for (name, _) in tables::sizes(capacity) {
            loader.map_pin_path(name, pins.table(name));
        }
        // The kernel empties it when its last handle goes, which is not to be this process.
        loader.map_pin_path(PROGRAMS, pins.table(PROGRAMS));
        let object = Self::load_by(&mut loader, adopted)?;
        if !adopted {
            object.initialise();
        }
        Ok(object)
    }

    fn load_by(loader: &mut EbpfLoader<'_>, adopted: bool) -> Result<Self, LoadError> {
        let mut ebpf = loader.load(super::super::OBJECT).map_err(object_error)?;
        for name in Self::programs() {
            load(&mut ebpf, name).map_err(|error| program_error(name, &error))?;
        }
        for stage in Stage::ALL {
            link(&mut ebpf, stage).map_err(|error| program_error(stage.program(), &error))?;
        }
        let tables = Arc::new(Tables::map(&ebpf)?);
        let sightings = sightings(&mut ebpf)?;
        let tick = clock::tick(program::<&mut Xdp>(&mut ebpf, "clock").map_err(LoadError::Clock)?)
            .map_err(LoadError::Clock)?;
        tables
            .memory()
            .settings
            .second
            .store(clock::ticks_of(Duration::from_secs(1), tick));
        Ok(Self {
            ebpf,
            tables,
            sightings,
            tick,
            adopted,
        })
    }

    /// Whether its tables were in force before it was loaded.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// The tables, for reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        self.tables.memory()
    }

    /// The tables, for work that goes on beside the daemon's.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    /// Length of a tick of the flow table's clock.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The flow table's clock now, in ticks.
    pub fn now(&mut self) -> Result<u32, ProgramError> {
        clock::now(self.program("clock")?)
    }

    /// Runs a program on a frame in the kernel, without any interface (`BPF_PROG_TEST_RUN`). Returns its action
    /// and the frame as it left it.
    pub fn test_run(&mut self, name: &str, frame: &[u8]) -> Result<(u32, Vec<u8>), ProgramError> {
        let mut out = vec![0; frame.len() + 256];
        let program = self.program(name)?;
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
    pub fn program(&mut self, name: &str) -> Result<&mut Xdp, ProgramError> {
        program(&mut self.ebpf, name)
    }

    /// The program that translates what backends on this host answer.
    pub fn egress(&mut self) -> Result<&mut SchedClassifier, ProgramError> {
        program(&mut self.ebpf, Self::EGRESS)
    }

    /// A program that leads connections of this host's own to backends.
    pub(super) fn connect(&mut self, name: &str) -> Result<&mut CgroupSockAddr, ProgramError> {
        program(&mut self.ebpf, name)
    }

    /// What the kernel says of the program of that name.
    pub fn info(&self, name: &str) -> Result<ProgramInfo, ProgramError> {
        let program = self.ebpf.program(name);
        program.ok_or(ProgramError::UnexpectedProgramType)?.info()
    }

    /// Writes the settings of empty tables.
    fn initialise(&self) {
        let memory = self.memory();
        let settings = memory.settings;
        settings.bucket_mask_v4.store(mask(memory.buckets_v4));
        settings.bucket_mask_v6.store(mask(memory.buckets_v6));
        settings.service_mask.store(mask(memory.service_slots));
        settings.quota_mask.store(mask(memory.quotas));
        settings.backend_capacity.store(rows(memory.backends));
        settings.seed.store(secret());
        settings.cookie_key.iter().for_each(|word| word.store(secret()));
        settings.version.store(layout::VERSION);
    }
}

fn loader(capacity: &Capacity) -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    for (name, rows) in tables::sizes(capacity) {
        loader.map_max_entries(name, rows);
    }
    loader
}

fn rows<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}

/// The mask that brings an index into a table whose length is a power of two.
fn mask<T>(table: &[T]) -> u32 {
    rows(table) - 1
}

fn program<'e, P>(ebpf: &'e mut aya::Ebpf, name: &str) -> Result<P, ProgramError>
where
    P: TryFrom<&'e mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}

/// Loads a program of whatever type that the object has.
fn load(ebpf: &mut aya::Ebpf, name: &str) -> Result<(), ProgramError> {
    match ebpf.program_mut(name) {
        Some(Program::Xdp(program)) => program.load(),
        Some(Program::SchedClassifier(program)) => program.load(),
        Some(Program::CgroupSockAddr(program)) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Lets the programs of the other stages find that of this one. Where another daemon's programs are in force, these take
/// their places one after the other: all that know the same layout can go on in each other.
fn link(ebpf: &mut aya::Ebpf, stage: Stage) -> Result<(), ProgramError> {
    let program = program::<&mut Xdp>(ebpf, stage.program())?
        .fd()?
        .try_clone()
        .map_err(ProgramError::IOError)?;
    let map = ebpf
        .map_mut(PROGRAMS)
        .ok_or(ProgramError::UnexpectedProgramType)?;
    ProgramArray::try_from(map)?.set(stage as u32, &program, 0)?;
    Ok(())
}

fn sightings(ebpf: &mut aya::Ebpf) -> Result<PerfEventArray<MapData>, LoadError> {
    let failed = |source| LoadError::Map {
        name: SIGHTINGS,
        source,
    };
    let map = ebpf.take_map(SIGHTINGS);
    let map = map.ok_or_else(|| failed(io::Error::other("it is not in the object")))?;
    PerfEventArray::try_from(map).map_err(|error| failed(io::Error::other(error)))
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
