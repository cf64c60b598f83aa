//! Which engine forwards, and its start.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability};
use lb_common::memory::Memory;
use tracing::{info, warn};

use crate::{
    config::{Config, types::DataplaneChoice},
    control::{self, Control, PlanError, unix_milliseconds},
    dataplane::{AfPacket, AttachError, Engine, LoadError, Mode, Object, Pins, PinsError, Xdp, af_packet},
    next_hop::NextHops,
};

/// What XDP needs beside root's right to the BPF file system.
const OF_XDP: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_PERFMON,
];

/// What packet sockets need.
const OF_AF_PACKET: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

/// A packet path that runs, and the control plane over its tables.
pub(super) struct Forwarding {
    pub(super) control: Control,
    pub(super) engine: Engine,
    /// How many threads or CPUs count. The daemon itself counts after them.
    pub(super) workers: u32,
}

impl Forwarding {
    /// Starts the engine that the configuration names, or the best that works.
    pub(super) fn start(config: Config) -> Result<Self> {
        match config.global.dataplane {
            DataplaneChoice::Xdp => Self::xdp(config, Some(Mode::Native)),
            DataplaneChoice::XdpGeneric => Self::xdp(config, Some(Mode::Generic)),
            DataplaneChoice::AfPacket => Self::af_packet(config, None),
            DataplaneChoice::Auto => match Self::xdp(config.clone(), None) {
                Err(error) if says_that_there_is_no_xdp(&error) => {
                    warn!("falling back to af-packet: {error}");
                    Self::af_packet(config, Some(error.to_string()))
                }
                outcome => outcome,
            },
        }
    }

    fn xdp(config: Config, mode: Option<Mode>) -> Result<Self> {
        ensure_privileges(&OF_XDP)?;
        let cpus = possible_cpus()?;
        let interfaces = config.global.interfaces.clone();
        let pins = Pins::claim(&config.global.socket)?;
        let object = Object::load_pinned(&control::capacity(&config, cpus + 1), mode, &pins)?;
        let control = plan(config, &object, &pins)?;
        if object.is_adopted() {
            log_adoption(&object.memory());
        }
        control.install(&object.memory())?;
        let xdp = Xdp::attach(object, pins, &interfaces, mode)?;
        if xdp.mode() == Mode::Generic {
            warn!(
                "generic XDP drops frames that an offload has merged to more than the MTU: `ethtool -K INTERFACE gro off \
                 lro off` on its interfaces, and `tso off` where containers or virtual machines of this host send"
            );
        }
        Ok(Self {
            control,
            engine: Engine::Xdp(xdp),
            workers: cpus,
        })
    }

    fn af_packet(config: Config, fallback: Option<String>) -> Result<Self> {
        ensure_privileges(&OF_AF_PACKET)?;
        let interfaces = config.global.interfaces.clone();
        let owner = config.global.socket.clone();
        ensure_not_forwarded_by_xdp(&config)?;
        let workers = u32::try_from(af_packet::threads())?;
        let tables = af_packet::tables(&control::capacity(&config, workers + 1));
        let control = Control::new(config, &tables.memory())?;
        control.install(&tables.memory())?;
        // Sources are known with the next hops.
        let kept = control.kept_from_host(&NextHops::new());
        let engine = AfPacket::start(tables, &interfaces, &kept, &owner, fallback)?;
        Ok(Self {
            control,
            engine: Engine::AfPacket(engine),
            workers,
        })
    }
}

/// Asked before anything is made, so that an ordinary user hears what is missing and not where it was missed first.
pub(super) fn preflight(choice: DataplaneChoice) -> Result<()> {
    match choice {
        DataplaneChoice::Xdp | DataplaneChoice::XdpGeneric => ensure_privileges(&OF_XDP),
        DataplaneChoice::AfPacket => ensure_privileges(&OF_AF_PACKET),
        DataplaneChoice::Auto => ensure_privileges(&OF_AF_PACKET).or_else(|_| ensure_privileges(&OF_XDP)),
    }
}

fn ensure_privileges(needed: &[Capability]) -> Result<()> {
    for capability in needed {
        if !caps::has_cap(None, CapSet::Effective, *capability)? {
            return Err(Missing {
                capability: *capability,
                needed: needed.iter().map(ToString::to_string).collect(),
            }
            .into());
        }
    }
    Ok(())
}

/// This process may not do what it has to.
#[derive(Debug, thiserror::Error)]
#[error("this needs root, or the capabilities {}; {capability} is missing", .needed.join(", "))]
struct Missing {
    capability: Capability,
    needed: Vec<String>,
}

/// Whether XDP cannot be had here at all. Where it can, and somebody else has it, or what is in force does not fit, that
/// is not to be gone round.
fn says_that_there_is_no_xdp(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<PinsError>() {
        return matches!(error, PinsError::Io { .. });
    }
    if let Some(error) = error.downcast_ref::<LoadError>() {
        return !matches!(error, LoadError::Adopt(_));
    }
    if let Some(error) = error.downcast_ref::<AttachError>() {
        return matches!(error, AttachError::Refused { .. });
    }
    error.is::<Missing>()
}

/// Packets that XDP takes never come to a packet socket.
fn ensure_not_forwarded_by_xdp(config: &Config) -> Result<()> {
    let socket = &config.global.socket;
    match Pins::find(socket) {
        Ok(Some(pins)) if pins.are_in_force() => {
            return Err(pins
                .refuse("it runs in the kernel and the configuration wants af-packet")
                .into());
        }
        // Where there is no BPF file system to be seen, nothing is in force by it.
        Ok(_) | Err(PinsError::Io { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for interface in &config.global.interfaces {
        Xdp::ensure_not_served(interface)?;
    }
    Ok(())
}

fn plan(config: Config, object: &Object, pins: &Pins) -> Result<Control> {
    match Control::new(config, &object.memory()) {
        Err(error @ PlanError::NoRoom(_)) if object.is_adopted() => Err(pins.refuse(error).into()),
        outcome => Ok(outcome?),
    }
}

fn log_adoption(memory: &Memory<'_>) {
    let counters = memory.backend_counters.iter();
    let closed: u64 = counters
        .clone()
        .map(|counters| counters.flows_closed.load())
        .sum();
    let opened: u64 = counters.map(|counters| counters.flows_opened.load()).sum();
    let unattended = unix_milliseconds().saturating_sub(memory.settings.tended.load());
    let unattended = humantime::format_duration(Duration::from_millis(unattended)).to_string();
    info!(
        flows = opened.saturating_sub(closed),
        unattended,
        "adopted the packet path that is in force: for {unattended} nobody has checked its backends, and what was \
         up then counts as up until its first check"
    );
}

/// CPUs that may ever run the packet path: it counts by their numbers.
fn possible_cpus() -> Result<u32> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    // `0-3`, `0`, or `0-1,4-5`: the last number counts.
    let last = text.trim().rsplit(['-', ',']).next().unwrap_or_default();
    let last: u32 = last
        .parse()
        .with_context(|| format!("cannot understand {PATH}: {text:?}"))?;
    Ok(last + 1)
}
