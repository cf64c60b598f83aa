//! `[service.check]`

use std::{num::NonZeroU16, time::Duration};

use toml::Spanned;

use super::{http, value};
use crate::config::{
    error::Fault,
    raw::{self, Table, Text},
    types::{Check, CheckKind, Protocol},
};

const DEFAULT_INTER: Duration = Duration::from_secs(2);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;
/// Unless `inter` is shorter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// At the default `inter` more than half an hour; larger is a slip of the pen.
const MOST_RESULTS: u32 = 1000;

/// The word in `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Tcp,
    Http,
}

impl Kind {
    const ALL: &[Self] = &[Self::None, Self::Tcp, Self::Http];

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }

    /// What can be asked of any server of the protocol: a UDP server need not answer anything.
    fn default_for(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::None,
        }
    }
}

/// The check of a service, or the default one when the table is absent.
pub(super) fn check(raw: Option<Spanned<Table<raw::Check>>>, protocol: Protocol) -> Result<Check, Fault> {
    let Table(raw) = raw.map(Spanned::into_inner).unwrap_or_default();
    let default = Kind::default_for(protocol);
    let kind = value::word_or(default, "check type", raw.kind.as_ref(), Kind::ALL, Kind::as_str)?;
    let port = raw
        .port
        .as_ref()
        .map(|port| value::number("port", port, 1..=u16::MAX))
        .transpose()?;
    let port = port.and_then(NonZeroU16::new);
    if let (Some(written), Protocol::Udp, None) = (&raw.kind, protocol, port) {
        refuse_portless(written, kind)?;
    }
    let inter = value::duration_or(DEFAULT_INTER, "inter", raw.inter.as_ref())?;
    Ok(Check {
        inter,
        rise: value::number_or(DEFAULT_RISE, "rise", raw.rise.as_ref(), 1..=MOST_RESULTS)?,
        fall: value::number_or(DEFAULT_FALL, "fall", raw.fall.as_ref(), 1..=MOST_RESULTS)?,
        timeout: value::duration_or(inter.min(DEFAULT_TIMEOUT), "timeout", raw.timeout.as_ref())?,
        port,
        kind: with_request(kind, &raw)?,
    })
}

/// A UDP service's port is a UDP port; a check over TCP has to be told another.
fn refuse_portless(written: &Text, kind: Kind) -> Result<(), Fault> {
    if kind == Kind::None {
        return Ok(());
    }
    Err(Fault::at(
        written,
        format!("a {} check of a udp service needs a TCP port", kind.as_str()),
        "set `port` to one that the backends listen on, or type to \"none\"",
    ))
}

fn with_request(kind: Kind, raw: &raw::Check) -> Result<CheckKind, Fault> {
    match kind {
        Kind::Http => http::http(raw).map(CheckKind::Http),
        Kind::None => http::refuse_keys(raw, kind.as_str()).map(|()| CheckKind::None),
        Kind::Tcp => http::refuse_keys(raw, kind.as_str()).map(|()| CheckKind::Tcp),
    }
}
