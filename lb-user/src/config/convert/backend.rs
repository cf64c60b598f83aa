//! `[[service.backend]]`

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    ops::Range,
};

use toml::Spanned;

use super::{address, value};
use crate::config::{
    error::Fault,
    raw::{self, Table, Text},
    types::{Backend, Name},
};

const DEFAULT_WEIGHT: u16 = 100;
/// As in `haproxy.cfg`.
const MOST_WEIGHT: u16 = 256;

/// The backends of one service; `header` is the place of its `[[service]]`, `binds` its addresses.
pub(super) fn backends(
    raw: Vec<Spanned<Table<raw::Backend>>>,
    header: Range<usize>,
    binds: &BTreeMap<SocketAddr, &Text>,
) -> Result<Vec<Backend>, Fault> {
    if raw.is_empty() {
        return Err(Fault::within(
            header,
            "the service has no backends",
            "add a [[service.backend]] with a name and an address",
        ));
    }
    let mut taken = Taken::default();
    raw.into_iter()
        .map(|raw| backend(&raw.into_inner().0, binds, &mut taken))
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
    binds: &BTreeMap<SocketAddr, &Text>,
    taken: &mut Taken,
) -> Result<Backend, Fault> {
    let name = name(&raw.name, taken)?;
    let address = address(&raw.address, &name, binds, taken)?;
    let weight = value::number_or(DEFAULT_WEIGHT, "weight", raw.weight.as_ref(), 0..=MOST_WEIGHT)?;
    Ok(Backend {
        name,
        address,
        weight,
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

fn address(
    text: &Text,
    name: &Name,
    binds: &BTreeMap<SocketAddr, &Text>,
    taken: &mut Taken,
) -> Result<SocketAddr, Fault> {
    let address = address::endpoint(text)?;
    if binds.contains_key(&address) {
        return Err(Fault::at(
            text,
            format!("{address} is the service's own bind address"),
            "write the address of the server behind it",
        ));
    }
    if !binds.keys().any(|bind| bind.is_ipv4() == address.is_ipv4()) {
        return Err(Fault::at(
            text,
            format!(
                "{address} is {} and no bind of the service is",
                address::family(&address)
            ),
            "addresses are not translated between the families: bind one of each, or make two services",
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
