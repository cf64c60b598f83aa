//! `[global]`

use std::{net::IpAddr, num::NonZeroU16, path::PathBuf};

use nix::unistd::Group;

use super::{address, sources::Lists, value};
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::{DataplaneChoice, Global},
};

/// Where the control socket is unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ballast/ballast.sock";
const DEFAULT_STATE_DIR: &str = "/var/lib/ballast";
/// Outside Linux's ephemeral range (32768–60999), so that the host's own connections are never taken for flows.
const DEFAULT_SNAT_PORTS: (NonZeroU16, NonZeroU16) =
    (NonZeroU16::new(1024).unwrap(), NonZeroU16::new(32_767).unwrap());
const DEFAULT_MAX_FLOWS: u32 = 262_144;
/// Some gigabytes of flow table; more is a slip of the pen.
pub(super) const MOST_FLOWS: u32 = 16_777_216;
/// `sun_path` holds 108 bytes with its terminating NUL, unix(7).
const LONGEST_SOCKET: usize = 107;

pub(super) fn global(raw: &raw::Global, lists: &mut Lists) -> Result<Global, Fault> {
    Ok(Global {
        interfaces: interfaces(&raw.interfaces)?,
        dataplane: value::word_or(
            DataplaneChoice::Auto,
            "dataplane",
            raw.dataplane.as_ref(),
            DataplaneChoice::ALL,
            DataplaneChoice::as_str,
        )?,
        snat_addresses: snat_addresses(&raw.snat_addresses)?,
        snat_ports: raw
            .snat_ports
            .as_ref()
            .map_or(Ok(DEFAULT_SNAT_PORTS), snat_ports)?,
        max_flows: value::number_or(
            DEFAULT_MAX_FLOWS,
            "max_flows",
            raw.max_flows.as_ref(),
            1..=MOST_FLOWS,
        )?,
        icmp_echo: value::flag_or(true, raw.icmp_echo.as_ref()),
        sources: lists.rules(raw.allow.as_ref(), raw.deny.as_ref())?,
        state_dir: path("state_dir", raw.state_dir.as_ref(), DEFAULT_STATE_DIR)?,
        socket: socket(raw.socket.as_ref())?,
        socket_group: raw.socket_group.as_ref().map(group).transpose()?,
    })
}

/// Takes a network interface's name if the kernel could have one so named (`dev_valid_name` in net/core/dev.c).
pub fn interface_name(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || name.len() > 15 {
        return Err("write a name of 1 to 15 bytes, as `ip link` shows it");
    }
    if name == "." || name == ".." || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        return Err("write a name as `ip link` shows it, without spaces, / and :");
    }
    Ok(name.to_owned())
}

fn interfaces(texts: &[Text]) -> Result<Vec<String>, Fault> {
    let mut interfaces = Vec::with_capacity(texts.len());
    for text in texts {
        let name = interface_name(text.get_ref()).map_err(|advice| {
            Fault::at(
                text,
                format!("{:?} is not an interface name", text.get_ref()),
                advice,
            )
        })?;
        if interfaces.contains(&name) {
            return Err(Fault::at(
                text,
                format!("interface {name:?} is listed twice"),
                "remove one of the two",
            ));
        }
        interfaces.push(name);
    }
    Ok(interfaces)
}

fn snat_addresses(texts: &[Text]) -> Result<Vec<IpAddr>, Fault> {
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        let address = address::host(text)?;
        if addresses.contains(&address) {
            return Err(Fault::at(
                text,
                format!("{address} is listed twice"),
                "remove one of the two",
            ));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn snat_ports(text: &Text) -> Result<(NonZeroU16, NonZeroU16), Fault> {
    let written = text.get_ref();
    let ends = written.split_once('-').and_then(|(first, last)| {
        Some((
            first.trim().parse::<NonZeroU16>().ok()?,
            last.trim().parse::<NonZeroU16>().ok()?,
        ))
    });
    match ends {
        Some((first, last)) if first <= last => Ok((first, last)),
        Some((first, last)) => Err(Fault::at(
            text,
            format!("the port range {written:?} runs backwards"),
            format!("write \"{last}-{first}\""),
        )),
        None => Err(Fault::at(
            text,
            format!("{written:?} is not a port range"),
            r#"write the first and last port, from 1 to 65535, such as "1024-32767""#,
        )),
    }
}

fn socket(text: Option<&Text>) -> Result<PathBuf, Fault> {
    let socket = path("socket", text, DEFAULT_SOCKET)?;
    match text {
        Some(text) if text.get_ref().len() > LONGEST_SOCKET => Err(Fault::at(
            text,
            format!(
                "the path has {} bytes, too long for a socket",
                text.get_ref().len()
            ),
            format!("write one of at most {LONGEST_SOCKET} bytes"),
        )),
        _ => Ok(socket),
    }
}

fn group(text: &Text) -> Result<u32, Fault> {
    let name = text.get_ref();
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) | Err(_) => Err(Fault::at(
            text,
            format!("this host has no group {name:?}"),
            format!("make it (`groupadd --system {name}`), or write another one"),
        )),
    }
}

pub(super) fn path(key: &str, text: Option<&Text>, default: &str) -> Result<PathBuf, Fault> {
    text.map_or_else(|| Ok(PathBuf::from(default)), |text| absolute(key, text))
}

/// An absolute path: the daemon's working directory is nobody's business.
pub(super) fn absolute(key: &str, text: &Text) -> Result<PathBuf, Fault> {
    let written = text.get_ref();
    if written.starts_with('/') && !written.contains('\0') {
        return Ok(PathBuf::from(written));
    }
    Err(Fault::at(
        text,
        format!("{key} {written:?} is not an absolute path"),
        "write one that begins with /",
    ))
}
