//! The forwarding mode, and which backends it can bring a service's packets to.

use std::{net::SocketAddr, num::NonZeroU16};

use super::{address, service::Binds, value};
use crate::config::{
    error::Fault,
    raw::{self, Number, Text},
    types::{Backend, Encapsulation, Mode},
};

/// IANA's port of GUE.
const DEFAULT_GUE_PORT: NonZeroU16 = NonZeroU16::new(6080).unwrap();

/// The mode, with what a tunnel wraps packets in.
pub(super) fn mode(raw: &raw::Service) -> Result<Mode, Fault> {
    match value::word_or(Mode::FullNat, "mode", raw.mode.as_ref(), Mode::ALL, Mode::as_str)? {
        Mode::Tunnel(_) => encapsulation(raw).map(Mode::Tunnel),
        mode @ (Mode::FullNat | Mode::Nat | Mode::Dsr) => refuse_tunnel_keys(raw, mode).map(|()| mode),
    }
}

fn encapsulation(raw: &raw::Service) -> Result<Encapsulation, Fault> {
    let gue = Encapsulation::Gue {
        port: DEFAULT_GUE_PORT,
    };
    let written = value::word_or(
        Encapsulation::Ipip,
        "encapsulation",
        raw.encapsulation.as_ref(),
        &[Encapsulation::Ipip, gue],
        Encapsulation::as_str,
    )?;
    match (written, &raw.gue_port) {
        (Encapsulation::Ipip, Some(number)) => Err(Fault::at(
            number,
            "`gue_port` means nothing to encapsulation \"ipip\"",
            "remove it or set encapsulation to \"gue\"",
        )),
        (Encapsulation::Ipip, None) => Ok(Encapsulation::Ipip),
        (Encapsulation::Gue { port }, number) => Ok(Encapsulation::Gue {
            port: gue_port(number.as_ref())?.unwrap_or(port),
        }),
    }
}

fn gue_port(number: Option<&Number>) -> Result<Option<NonZeroU16>, Fault> {
    let port = number.map(|number| value::number("gue_port", number, 1..=u16::MAX));
    Ok(port.transpose()?.and_then(NonZeroU16::new))
}

fn refuse_tunnel_keys(raw: &raw::Service, mode: Mode) -> Result<(), Fault> {
    let written = [
        ("encapsulation", value::place(raw.encapsulation.as_ref())),
        ("gue_port", value::place(raw.gue_port.as_ref())),
    ];
    match value::first_written(written) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` means nothing in mode \"{}\"", mode.as_str()),
            "remove it or set mode to \"tunnel\"",
        )),
    }
}

/// Refuses a backend that packets of no bind could reach, or only with another port than the client's.
pub(super) fn refuse_unreachable(
    text: &Text,
    address: SocketAddr,
    binds: &Binds<'_>,
    mode: Mode,
) -> Result<(), Fault> {
    let mut served = binds
        .keys()
        .filter(|bind| serves(&address, bind, mode))
        .peekable();
    if served.peek().is_none() {
        return Err(Fault::at(
            text,
            format!(
                "{address} is {} and no bind of the service is",
                address::family(&address)
            ),
            "addresses are not translated between the families: bind one of each, or make two services",
        ));
    }
    match served.find(|bind| bind.port() != address.port()) {
        Some(bind) if !mode.translates_ports() => Err(Fault::at(
            text,
            format!(
                "mode \"{}\" keeps the packet's port, and {address} has another than bind {bind}",
                mode.as_str()
            ),
            "give both the same port, or set mode to \"full-nat\" or \"nat\"",
        )),
        _ => Ok(()),
    }
}

/// Refuses a bind that no backend serves.
pub(super) fn refuse_lonely_binds(binds: &Binds<'_>, backends: &[Backend], mode: Mode) -> Result<(), Fault> {
    let lonely = binds.iter().find(|(bind, _)| {
        !backends
            .iter()
            .any(|backend| serves(&backend.address, bind, mode))
    });
    let Some((bind, text)) = lonely else { return Ok(()) };
    let family = address::family(bind);
    Err(Fault::at(
        text,
        format!("{bind} is {family} and no backend of the service is"),
        format!("add a backend with an {family} address or remove this one"),
    ))
}

/// Addresses are not translated between the families; only a tunnel carries one in the other.
fn serves(backend: &SocketAddr, bind: &SocketAddr, mode: Mode) -> bool {
    mode.joins_families() || backend.is_ipv4() == bind.is_ipv4()
}
