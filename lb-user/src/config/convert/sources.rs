//! `allow`, `deny` and `[service.limits]`

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use toml::Spanned;

use super::{global::MOST_FLOWS, value};
use crate::config::{
    error::Fault,
    raw::{self, Networks, Table, Text},
    types::{Access, SourceLimits, SourceRules},
};

/// Networks in all lists of a configuration together: what the tables have room for.
const MOST_NETWORKS: usize = 100_000;
/// More than any machine handles; larger is a slip of the pen.
const MOST_PER_SECOND: u32 = 1_000_000_000;

/// The lists of a configuration; counts the networks in all of them.
#[derive(Default)]
pub(super) struct Lists {
    networks: usize,
}

impl Lists {
    /// What one table's `allow` and `deny` say.
    pub(super) fn rules(
        &mut self,
        allow: Option<&Networks>,
        deny: Option<&Networks>,
    ) -> Result<SourceRules, Fault> {
        refuse_empty(allow)?;
        let mut networks = BTreeMap::new();
        for (list, access) in [(allow, Access::Allow), (deny, Access::Deny)] {
            for text in list.map_or(&[][..], |list| list.get_ref()) {
                self.count(text)?;
                add(&mut networks, text, access)?;
            }
        }
        Ok(SourceRules {
            networks,
            otherwise: if allow.is_some() {
                Access::Deny
            } else {
                Access::Allow
            },
        })
    }

    fn count(&mut self, text: &Text) -> Result<(), Fault> {
        self.networks += 1;
        if self.networks <= MOST_NETWORKS {
            return Ok(());
        }
        Err(Fault::at(
            text,
            format!("there are more than {MOST_NETWORKS} networks in all lists"),
            "join neighbouring networks into larger ones",
        ))
    }
}

/// What one source address may take.
pub(super) fn limits(raw: Option<&Spanned<Table<raw::Limits>>>) -> Result<SourceLimits, Fault> {
    let Some(Table(raw)) = raw.map(Spanned::get_ref) else {
        return Ok(SourceLimits::default());
    };
    Ok(SourceLimits {
        new_flows_per_second: value::limit(
            "new_flows_per_second",
            raw.new_flows_per_second.as_ref(),
            MOST_PER_SECOND,
        )?,
        active_flows: value::limit("active_flows", raw.active_flows.as_ref(), MOST_FLOWS)?,
        packets_per_second: value::limit(
            "packets_per_second",
            raw.packets_per_second.as_ref(),
            MOST_PER_SECOND,
        )?,
    })
}

/// An empty list says "nobody", which is hardly ever what its writer meant.
fn refuse_empty(allow: Option<&Networks>) -> Result<(), Fault> {
    match allow {
        Some(list) if list.get_ref().is_empty() => Err(Fault::at(
            list,
            "allow is empty and would let nobody in",
            r#"write at least one network, such as ["10.0.0.0/8"], or remove it"#,
        )),
        _ => Ok(()),
    }
}

fn add(networks: &mut BTreeMap<IpNet, Access>, text: &Text, access: Access) -> Result<(), Fault> {
    let network = network(text)?;
    match networks.insert(network, access) {
        None => Ok(()),
        Some(before) if before == access => Err(Fault::at(
            text,
            format!("{network} is listed twice"),
            "remove one of the two",
        )),
        Some(_) => Err(Fault::at(
            text,
            format!("{network} is both allowed and denied"),
            "remove it from one of the two lists",
        )),
    }
}

/// A network without host bits; an address alone is the network of that host.
fn network(text: &Text) -> Result<IpNet, Fault> {
    let written = text.get_ref();
    let network = written
        .parse()
        .or_else(|_| written.parse().map(|address: IpAddr| IpNet::from(address)))
        .map_err(|_| {
            Fault::at(
                text,
                format!("{written:?} is not a network"),
                r#"write one like "10.0.0.0/8" or "fd00::/8", or a single address"#,
            )
        })?;
    refuse_mapped(text, network)?;
    if network == network.trunc() {
        return Ok(network);
    }
    Err(Fault::at(
        text,
        format!("{network} has bits set behind its prefix"),
        format!(
            "write \"{}\", or \"{}\" for that one address",
            network.trunc(),
            network.addr()
        ),
    ))
}

fn refuse_mapped(text: &Text, network: IpNet) -> Result<(), Fault> {
    let IpNet::V6(v6) = network else { return Ok(()) };
    let (Some(v4), Some(prefix)) = (
        v6.trunc().addr().to_ipv4_mapped(),
        v6.prefix_len().checked_sub(96),
    ) else {
        return Ok(());
    };
    Err(Fault::at(
        text,
        format!("{network} is IPv4 in IPv6 form, which never occurs in a packet"),
        format!("write \"{v4}/{prefix}\""),
    ))
}
