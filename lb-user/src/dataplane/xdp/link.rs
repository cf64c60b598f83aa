//! Links: what ties the program to one interface.

use std::{error::Error, io, path::PathBuf};

use anyhow::Chain;
use aya::programs::{
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use nix::net::if_::if_nametoindex;
use tracing::info;

use super::{
    Mode, Object,
    pins::{self, AdoptError, Pins},
};

/// An interface refuses the program.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("there is no interface `{0}`: `ip link` lists those there are")]
    NoInterface(String),
    /// Another program is attached there.
    #[error(
        "interface `{0}` has an XDP program already: `ip link show {0}` names it, `ip link set {0} xdp off` removes it"
    )]
    Busy(String),
    /// Another instance of Ballast is attached there.
    #[error(
        "interface `{interface}` is served by another ballast, whether it runs or not: `ballast stop --socket {}` \
         ends that, or take another interface",
        .socket.display()
    )]
    Served {
        /// The interface.
        interface: String,
        /// Control socket of the other one.
        socket: PathBuf,
    },
    /// A packet path is in force that cannot be gone on with.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// The kernel refuses the program that translates what backends on this host answer.
    #[error("interface `{interface}` refuses a program for what leaves it, which takes Linux 6.6: {reason}")]
    Egress {
        /// The interface.
        interface: String,
        /// What the kernel says.
        reason: String,
    },
    /// The kernel or driver refuses.
    #[error("interface `{interface}` refuses XDP ({mode}): {reason}")]
    Refused {
        /// The interface.
        interface: String,
        /// How it was to be attached.
        mode: &'static str,
        /// What the kernel says.
        reason: String,
    },
}

/// Puts the program in place of the one that is attached by a pinned link; says whether that was possible. It is
/// not where the interface has gone and another one has its number now.
pub(super) fn replace(
    object: &mut Object,
    pins: &Pins,
    interface: &str,
    number: u32,
) -> Result<bool, AttachError> {
    match exchange(object, pins, Object::BALANCER, number).map_err(|error| (os_error(error.as_ref()), error))
    {
        Ok(()) => Ok(true),
        Err((Some(libc::ENOLINK), _)) => {
            pins.unlink(number);
            Ok(false)
        }
        Err((_, error)) => {
            let reason = format!(
                "its program on `{interface}` cannot be replaced ({})",
                chain(error.as_ref())
            );
            Err(pins.refuse(reason).into())
        }
    }
}

/// Puts a program in the place of the one that is attached by a pinned link, with no packet between the two.
pub(super) fn exchange(
    object: &mut Object,
    pins: &Pins,
    program: &str,
    number: u32,
) -> Result<(), Box<dyn Error>> {
    let link = FdLink::from(PinnedLink::from_pin(pins.link(number))?);
    let program = object.program(program)?;
    let id = program.attach_to_link(XdpLink::try_from(link)?)?;
    // The pin holds the link; this handle would, too, and hold it up when the pin is removed.
    drop(program.take_link(id)?);
    Ok(())
}

/// Attaches to an interface that has no link yet, and pins the link.
pub(super) fn attach(
    object: &mut Object,
    pins: &Pins,
    interface: &str,
    number: u32,
    mode: Mode,
) -> Result<(), AttachError> {
    let mut attach = || -> Result<(), Box<dyn Error>> {
        let program = object.program(Object::BALANCER)?;
        let id = program.attach_to_if_index(number, mode.into())?;
        FdLink::try_from(program.take_link(id)?)?.pin(pins.link(number))?;
        Ok(())
    };
    attach().map_err(|error| match os_error(error.as_ref()) {
        Some(libc::EBUSY | libc::EEXIST) => occupied(interface, number),
        _ => AttachError::Refused {
            interface: interface.to_owned(),
            mode: mode.as_str(),
            reason: chain(error.as_ref()),
        },
    })?;
    info!(interface, mode = mode.as_str(), "attached");
    Ok(())
}

/// Who is on an interface that is taken.
fn occupied(interface: &str, number: u32) -> AttachError {
    let interface = interface.to_owned();
    match pins::owner(number) {
        Some(socket) => AttachError::Served { interface, socket },
        None => AttachError::Busy(interface),
    }
}

/// The interface's number.
pub(super) fn number(interface: &str) -> Result<u32, AttachError> {
    if_nametoindex(interface).map_err(|_| AttachError::NoInterface(interface.to_owned()))
}

pub(super) fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    Chain::new(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find_map(io::Error::raw_os_error)
}

/// The error and all that caused it, in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let parts: Vec<String> = Chain::new(error).map(ToString::to_string).collect();
    parts.join(": ")
}
