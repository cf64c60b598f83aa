//! The program that translates what backends on this host answer: tied to the interfaces that their answers leave by.

use std::error::Error;

use aya::programs::{
    TcAttachType,
    links::{FdLink, LinkOrder, PinnedLink},
    tc::TcAttachOptions,
};
use tracing::info;

use super::{
    AttachError, Object,
    link::{chain, number, os_error},
    pins::Pins,
};

/// Has the program on all of these interfaces and on no other: a link that is there already gets it in one step.
pub(super) fn attach(object: &mut Object, pins: &Pins, interfaces: &[String]) -> Result<(), AttachError> {
    let mut unwanted = pins.egress_links();
    for interface in interfaces {
        let number = number(interface)?;
        let attached = if unwanted.contains(&number) {
            replace(object, pins, interface, number)
        } else {
            attach_to(object, pins, interface, number)
        };
        attached.map_err(|error| AttachError::Egress {
            interface: interface.clone(),
            reason: chain(error.as_ref()),
        })?;
        unwanted.retain(|link| *link != number);
    }
    for link in unwanted {
        pins.unlink_egress(link);
    }
    Ok(())
}

fn attach_to(object: &mut Object, pins: &Pins, interface: &str, number: u32) -> Result<(), Box<dyn Error>> {
    let program = object.egress()?;
    // Last, so that whatever other programs do to a packet is done to what the backend has sent.
    let options = TcAttachOptions::TcxOrder(LinkOrder::last());
    let id = program.attach_with_options(interface, TcAttachType::Egress, options)?;
    FdLink::try_from(program.take_link(id)?)?.pin(pins.egress_link(number))?;
    info!(interface, "attached to what leaves, for backends on this host");
    Ok(())
}

fn replace(object: &mut Object, pins: &Pins, interface: &str, number: u32) -> Result<(), Box<dyn Error>> {
    let mut update = || -> Result<(), Box<dyn Error>> {
        let link = FdLink::from(PinnedLink::from_pin(pins.egress_link(number))?);
        let program = object.egress()?;
        let id = program.attach_to_link(link.try_into()?)?;
        // The pin holds the link; this handle would, too, and hold it up when the pin is removed.
        drop(program.take_link(id)?);
        Ok(())
    };
    match update() {
        // The interface has gone, and another one has its number now.
        Err(error) if os_error(error.as_ref()) == Some(libc::ENOLINK) => {
            pins.unlink_egress(number);
            attach_to(object, pins, interface, number)
        }
        outcome => outcome,
    }
}
