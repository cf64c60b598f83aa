//! Attaching to interfaces, and letting go of them.

use std::{error::Error, io};

use anyhow::Chain;
use aya::programs::{ProgramError, XdpMode, xdp::XdpLinkId};
use lb_common::{layout, memory::Memory};
use tracing::{info, warn};

use super::Object;

/// How the kernel runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes an skb of a frame.
    Native,
    /// After that: works on every interface, and is slower.
    Generic,
}

impl Mode {
    /// The word of configuration and statistics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "xdp",
            Self::Generic => "xdp-generic",
        }
    }
}

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

/// The packet path, attached. Dropping it detaches from all interfaces.
pub struct Xdp {
    object: Object,
    interfaces: Vec<String>,
    mode: Mode,
    fallback: Option<String>,
}

impl Xdp {
    /// Attaches to all interfaces in one mode, or to none. `auto` tries native, then generic.
    ///
    /// All in one mode, since frames are redirected between interfaces only where both ends run in the same.
    pub fn attach(
        mut object: Object,
        interfaces: &[String],
        wanted: Option<Mode>,
    ) -> Result<Self, AttachError> {
        let interfaces = interfaces.to_vec();
        let first = wanted.unwrap_or(Mode::Native);
        match attach_all(&mut object, &interfaces, first) {
            Ok(()) => Ok(Self {
                object,
                interfaces,
                mode: first,
                fallback: None,
            }),
            Err(error @ AttachError::Refused { .. }) if wanted.is_none() => {
                warn!(%error, "falling back to generic XDP");
                attach_all(&mut object, &interfaces, Mode::Generic)?;
                Ok(Self {
                    object,
                    interfaces,
                    mode: Mode::Generic,
                    fallback: Some(error.to_string()),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The programs and tables.
    pub fn object(&mut self) -> &mut Object {
        &mut self.object
    }

    /// The tables, for reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        self.object.memory()
    }

    /// The interfaces that it is attached to.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// How it is attached to them.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Why a better mode was not taken.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }
}

fn attach_all(object: &mut Object, interfaces: &[String], mode: Mode) -> Result<(), AttachError> {
    let partial = match mode {
        Mode::Native => layout::COMPLETE_PARTIAL,
        Mode::Generic => layout::KEEP_PARTIAL,
    };
    object.memory().settings.partial_checksums.store(partial);
    let mut links: Vec<XdpLinkId> = Vec::new();
    for interface in interfaces {
        match attach(object, interface, mode) {
            Ok(link) => links.push(link),
            Err(error) => {
                detach(object, links);
                return Err(error);
            }
        }
        info!(interface, mode = mode.as_str(), "attached");
    }
    Ok(())
}

fn detach(object: &mut Object, links: Vec<XdpLinkId>) {
    let Ok(program) = object.program("ballast") else {
        return;
    };
    for link in links {
        if let Err(error) = program.detach(link) {
            warn!(%error, "cannot detach");
        }
    }
}

fn attach(object: &mut Object, interface: &str, mode: Mode) -> Result<XdpLinkId, AttachError> {
    let flags = match mode {
        Mode::Native => XdpMode::Driver,
        Mode::Generic => XdpMode::Skb,
    };
    let attached = object
        .program("ballast")
        .and_then(|program| program.attach(interface, flags));
    attached.map_err(|error| match &error {
        ProgramError::UnknownInterface { .. } => AttachError::NoInterface(interface.to_owned()),
        error if os_error(error) == Some(libc::EBUSY) || os_error(error) == Some(libc::EEXIST) => {
            AttachError::Busy(interface.to_owned())
        }
        error => AttachError::Refused {
            interface: interface.to_owned(),
            mode: mode.as_str(),
            reason: chain(error),
        },
    })
}

fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    Chain::new(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find_map(io::Error::raw_os_error)
}

/// The error and all that caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let parts: Vec<String> = Chain::new(error).map(ToString::to_string).collect();
    parts.join(": ")
}
