//! `[[service.backend]]`

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    ops::Range,
    time::Duration,
};

use toml::Spanned;

use super::{
    address,
    check::{Checks, Tracks},
    forwarding,
    global::MOST_FLOWS,
    service::Binds,
    value,
};
use crate::config::{
    error::Fault,
    raw::{self, Table, Text},
    types::{Admin, Backend, Mode, Name},
};

const DEFAULT_WEIGHT: u16 = 100;
/// As in `haproxy.cfg`.
const MOST_WEIGHT: u16 = 256;

/// What a service says of all its backends.
pub(super) struct Usual<'s> {
    /// Its addresses.
    pub(super) binds: &'s Binds<'s>,
    /// How packets reach them.
    pub(super) mode: Mode,
    /// How they are checked.
    pub(super) checks: Checks<'s>,
    /// How long they take to grow to their weight.
    pub(super) slowstart: Duration,
}

/// The backends of one service; `header` is the place of its `[[service]]`.
pub(super) fn backends(
    raw: &[Spanned<Table<raw::Backend>>],
    header: Range<usize>,
    usual: &Usual<'_>,
    tracks: &mut Tracks,
) -> Result<Vec<Backend>, Fault> {
    if raw.is_empty() {
        return Err(Fault::within(
            header,
            "the service has no backends",
            "add a [[service.backend]] with a name and an address",
        ));
    }
    let mut taken = Taken::default();
    raw.iter()
        .map(|raw| backend(&raw.get_ref().0, usual, &mut taken, tracks))
        .collect()
}

/// What the backends before have claimed for themselves.
#[derive(Default)]
struct Taken {
    names: BTreeSet<Name>,
    addresses: HashMap<SocketAddr, Name>,
}

fn backend(
    raw: &raw::Backend,
    usual: &Usual<'_>,
    taken: &mut Taken,
    tracks: &mut Tracks,
) -> Result<Backend, Fault> {
    let name = name(&raw.name, taken)?;
    let address = address(&raw.address, &name, usual.binds, taken)?;
    forwarding::refuse_unreachable(&raw.address, address, usual.binds, usual.mode)?;
    Ok(Backend {
        health: usual.checks.of(&name, raw, address, tracks)?,
        slowstart: value::duration_or(usual.slowstart, "slowstart", raw.slowstart.as_ref())?,
        name,
        address,
        weight: value::number_or(DEFAULT_WEIGHT, "weight", raw.weight.as_ref(), 0..=MOST_WEIGHT)?,
        maxconn: value::limit("maxconn", raw.maxconn.as_ref(), MOST_FLOWS)?,
        backup: value::flag_or(false, raw.backup.as_ref()),
        state: value::word_or(
            Admin::Ready,
            "state",
            raw.state.as_ref(),
            Admin::ALL,
            Admin::as_str,
        )?,
    })
}

fn name(text: &Text, taken: &mut Taken) -> Result<Name, Fault> {
    let name = value::name(text)?;
    if taken.names.insert(name.clone()) {
        return Ok(name);
    }
    Err(Fault::at(
        text,
        format!("the service has two backends \"{name}\""),
        "give one of them another name",
    ))
}

fn address(text: &Text, name: &Name, binds: &Binds<'_>, taken: &mut Taken) -> Result<SocketAddr, Fault> {
    let address = address::endpoint(text)?;
    if binds.contains_key(&address) {
        return Err(Fault::at(
            text,
            format!("{address} is the service's own bind address"),
            "write the address of the server behind it",
        ));
    }
    if let Some(owner) = taken.addresses.insert(address, name.clone()) {
        return Err(Fault::at(
            text,
            format!("{address} is already backend \"{owner}\" of this service"),
            "remove one of the two; for a larger share raise `weight`",
        ));
    }
    Ok(address)
}
