//! Loading the eBPF object.

use std::{io, sync::Arc, time::Duration};

use aya::{
    EbpfLoader, TestRun as _, TestRunOptions,
    maps::{MapData, PerfEventArray},
    programs::{CgroupSockAddr, ProgramError, ProgramInfo, SchedClassifier, Xdp},
};
use lb_common::{Stage, layout, memory::Memory};

use super::{
    Mode, adopt, clock,
    load::{self, LoadError, PROGRAMS, object_error, program},
    pins::Pins,
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
        load::programs(&mut ebpf)?;
        load::link_stages(&mut ebpf)?;
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

fn sightings(ebpf: &mut aya::Ebpf) -> Result<PerfEventArray<MapData>, LoadError> {
    let failed = |source| LoadError::Map {
        name: SIGHTINGS,
        source,
    };
    let map = ebpf.take_map(SIGHTINGS);
    let map = map.ok_or_else(|| failed(io::Error::other("it is not in the object")))?;
    PerfEventArray::try_from(map).map_err(|error| failed(io::Error::other(error)))
}
