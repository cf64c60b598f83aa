//! Attaching to interfaces, going on where another daemon left off, and letting go.

use std::io;

use lb_common::memory::Memory;
use tracing::{info, warn};

use super::{
    AttachError, Mode, Object, Pins, connect, egress,
    link::{attach, chain, exchange, number, os_error, replace},
    pins,
    watch::Readers,
};
use crate::dataplane::Sink;

/// The packet path, attached. It stays attached when this is dropped, or the process killed: see [`Xdp::detach`].
pub struct Xdp {
    object: Object,
    pins: Pins,
    interfaces: Vec<String>,
    mode: Mode,
    fallback: Option<String>,
    /// Whether what leaves is translated, too.
    translates_answers: bool,
    /// As long as somebody watches.
    readers: Option<Readers>,
}

impl Xdp {
    /// Attaches to all interfaces in one mode, or to none. `auto` tries native, then generic.
    ///
    /// All in one mode, since frames are redirected between interfaces only where both ends run in the same.
    ///
    /// A packet path that is in force keeps its mode. On the interfaces that it is attached to, its program is
    /// replaced in one step, with no packet between the old and the new one; it leaves those that are not wanted
    /// any more.
    pub fn attach(
        mut object: Object,
        mut pins: Pins,
        interfaces: &[String],
        wanted: Option<Mode>,
    ) -> Result<Self, AttachError> {
        let (mode, fallback) = if object.is_adopted() {
            (take_over(&mut object, &pins, interfaces)?, None)
        } else {
            attach_afresh(&mut object, &pins, interfaces, wanted)?
        };
        pins.keep();
        let mut attached = Self {
            object,
            pins,
            interfaces: interfaces.to_vec(),
            mode,
            fallback,
            translates_answers: false,
            readers: None,
        };
        if !attached.pins.egress_links().is_empty() {
            // There may be flows to backends on this host.
            attached.translate_answers()?;
        }
        connect::attach(&mut attached.object, &attached.pins);
        Ok(attached)
    }

    /// Sees to it that what backends on this host answer leaves from the virtual address. It costs each packet that
    /// leaves a look at its ports, and so is left out where there are no such backends.
    pub fn translate_answers(&mut self) -> Result<(), AttachError> {
        if !self.translates_answers {
            egress::attach(&mut self.object, &self.pins, &self.interfaces)?;
            self.translates_answers = true;
        }
        Ok(())
    }

    /// Has packets shown there, by another program in the balancer's place.
    pub fn show_to(&mut self, sink: &Sink) -> io::Result<()> {
        self.readers = Some(Readers::start(&mut self.object, sink)?);
        let exchanged = self.exchange(Object::WATCH);
        if exchanged.is_err() {
            self.show_to_nobody();
        }
        exchanged
    }

    /// Shows packets no more, and has the balancer in its place again.
    pub fn show_to_nobody(&mut self) {
        if let Err(error) = self.exchange(Object::BALANCER) {
            // It shows nothing, and every packet pays for a look at that until the next daemon.
            warn!(%error, "the program that shows packets stays attached");
        }
        self.readers = None;
    }

    /// Puts a program in the place of the one that is attached, wherever one is.
    fn exchange(&mut self, program: &str) -> io::Result<()> {
        for number in self.pins.links() {
            match exchange(&mut self.object, &self.pins, program, number) {
                // The interface has gone.
                Err(error) if os_error(error.as_ref()) == Some(libc::ENOLINK) => {}
                outcome => outcome.map_err(|error| io::Error::other(chain(error.as_ref())))?,
            }
        }
        Ok(())
    }

    /// Refuses an interface on which an instance forwards already, whether its daemon runs or not.
    pub fn ensure_not_served(interface: &str) -> Result<(), AttachError> {
        match pins::owner(number(interface)?) {
            Some(socket) => Err(AttachError::Served {
                interface: interface.to_owned(),
                socket,
            }),
            None => Ok(()),
        }
    }

    /// Detaches from all interfaces and removes the tables; the interfaces' names.
    #[expect(clippy::must_use_candidate, reason = "it is not called for the names")]
    pub fn detach(mut self) -> Vec<String> {
        self.pins.remove()
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

    /// Whether it is attached to the interface that has this name now.
    #[must_use]
    pub fn is_attached(&self, interface: &str) -> bool {
        number(interface).is_ok_and(|number| self.pins.links().contains(&number))
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

fn attach_afresh(
    object: &mut Object,
    pins: &Pins,
    interfaces: &[String],
    wanted: Option<Mode>,
) -> Result<(Mode, Option<String>), AttachError> {
    let first = wanted.unwrap_or(Mode::Native);
    match attach_all(object, pins, interfaces, first) {
        Err(error @ AttachError::Refused { .. }) if wanted.is_none() => {
            warn!(%error, "falling back to generic XDP");
            attach_all(object, pins, interfaces, Mode::Generic)?;
            Ok((Mode::Generic, Some(error.to_string())))
        }
        outcome => outcome.map(|()| (first, None)),
    }
}

fn attach_all(
    object: &mut Object,
    pins: &Pins,
    interfaces: &[String],
    mode: Mode,
) -> Result<(), AttachError> {
    object
        .memory()
        .settings
        .partial_checksums
        .store(mode.partial_checksums());
    let attached = interfaces
        .iter()
        .try_for_each(|interface| attach(object, pins, interface, number(interface)?, mode));
    if attached.is_err() {
        pins.links().into_iter().for_each(|link| pins.unlink(link));
    }
    attached
}

/// Puts the new program in place of the one in force.
fn take_over(object: &mut Object, pins: &Pins, interfaces: &[String]) -> Result<Mode, AttachError> {
    let mode = Mode::in_force(object.memory().settings);
    let mut unwanted = pins.links();
    for interface in interfaces {
        let number = number(interface)?;
        if unwanted.contains(&number) && replace(object, pins, interface, number)? {
            info!(interface, "replaced the program");
        } else {
            attach(object, pins, interface, number, mode)?;
        }
        unwanted.retain(|link| *link != number);
    }
    for number in unwanted {
        pins.unlink(number);
        info!(
            number,
            "detached from an interface that is not configured any more"
        );
    }
    Ok(mode)
}
