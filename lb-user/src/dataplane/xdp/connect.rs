//! The programs that lead connections of this host's own processes to backends: tied to the control group of all
//! processes.

use std::{error::Error, fs, fs::File, io, path::PathBuf};

use aya::programs::{CgroupAttachMode, links::FdLink};
use tracing::{info, warn};

use super::{Object, instance, link::chain, pins::Pins};

/// Has them attached, where that is possible: without them everybody is served but this host itself.
pub(super) fn attach(object: &mut Object, pins: &Pins) {
    match try_to_attach(object, pins) {
        Ok(()) => info!("TCP connections of this host to services are led to backends"),
        Err(error) => warn!(
            reason = chain(error.as_ref()),
            "this host's own connections to services are not led to backends"
        ),
    }
}

fn try_to_attach(object: &mut Object, pins: &Pins) -> Result<(), Box<dyn Error>> {
    let namespace = instance::namespace()?;
    object.memory().settings.namespace.store(namespace);
    let group = File::open(root()?)?;
    for name in Object::CONNECT {
        let program = object.connect(name)?;
        // Links are always one of several, and the kernel takes no flag that says so.
        let id = program.attach(&group, CgroupAttachMode::Single)?;
        let link = FdLink::try_from(program.take_link(id)?)?;
        // For a moment both are in force, which is as good as one: to what the first has found nothing is left to do.
        pins.unlink_connect(name);
        link.pin(pins.connect_link(name))?;
    }
    Ok(())
}

/// Where the control group of all processes is mounted.
fn root() -> io::Result<PathBuf> {
    const MOUNTS: &str = "/proc/self/mounts";
    let mounts = fs::read_to_string(MOUNTS)?;
    mounts
        .lines()
        .find_map(|line| match *line.split(' ').collect::<Vec<_>>() {
            [_, path, "cgroup2", ..] => Some(path.into()),
            _ => None,
        })
        .ok_or_else(|| {
            io::Error::other("no control groups (cgroup2) are mounted: `mount -t cgroup2` does that")
        })
}
