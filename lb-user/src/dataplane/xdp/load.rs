//! Having the kernel take the object's programs.

use std::{
    error::Error,
    io,
    num::NonZero,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::Chain;
use aya::{
    EbpfError,
    maps::ProgramArray,
    programs::{Program, ProgramError, Xdp},
};
use lb_common::Stage;

use super::{Object, pins::AdoptError};

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
pub(super) const PROGRAMS: &str = "PROGRAMS";

/// Loads all programs, as many at once as there are CPUs: what takes the time is the kernel's verifier, which follows one
/// program by one CPU.
pub(super) fn programs(ebpf: &mut aya::Ebpf) -> Result<(), LoadError> {
    let named = ebpf
        .programs_mut()
        .filter_map(|(name, program)| Some((Object::programs().find(|known| *known == name)?, program)));
    let waiting = Mutex::new(named);
    let load_some = || -> Result<(), LoadError> {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((name, program)) = next else {
                return Ok(());
            };
            load_one(program).map_err(|error| program_error(name, &error))?;
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let loading: Vec<_> = (0..threads).map(|_| scope.spawn(load_some)).collect();
        loading
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panicked| resume_unwind(panicked)))
    })
}

fn load_one(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Lets all stages' programs find each other.
pub(super) fn link_stages(ebpf: &mut aya::Ebpf) -> Result<(), LoadError> {
    Stage::ALL
        .into_iter()
        .try_for_each(|stage| link(ebpf, stage).map_err(|error| program_error(stage.program(), &error)))
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

/// The program of that name, if it is of that type.
pub(super) fn program<'e, P>(ebpf: &'e mut aya::Ebpf, name: &str) -> Result<P, ProgramError>
where
    P: TryFrom<&'e mut Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProgramError::UnexpectedProgramType)?
        .try_into()
}

pub(super) fn object_error(error: EbpfError) -> LoadError {
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
