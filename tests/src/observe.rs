//! What the kernel says happened in a namespace, through the tools an operator would use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Namespace, command};

/// TCP counters of a namespace's own stack since its beginning (RFC 4022 names).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCounters {
    /// Segments received.
    pub in_segments: u64,
    /// Connections this stack opened.
    pub active_opens: u64,
    /// Connections that others opened to this stack.
    pub passive_opens: u64,
    /// Segments sent again because no acknowledgement of them came.
    pub retransmitted: u64,
    /// Segments sent with RST, in answer to what this stack has no connection for.
    pub resets_sent: u64,
}

/// TCP counters of the namespace's own stack.
pub fn tcp_counters(namespace: &Namespace) -> Result<TcpCounters> {
    let text = command::output(namespace.command("nstat").args(["--json", "-a", "-s", "-z"]))?;
    let document: Value = serde_json::from_str(&text).context("`nstat --json` printed no JSON")?;
    let counter = |name: &str| {
        document["kernel"][name]
            .as_u64()
            .with_context(|| format!("`nstat` does not know {name}"))
    };
    Ok(TcpCounters {
        in_segments: counter("TcpInSegs")?,
        active_opens: counter("TcpActiveOpens")?,
        passive_opens: counter("TcpPassiveOpens")?,
        retransmitted: counter("TcpRetransSegs")?,
        resets_sent: counter("TcpOutRsts")?,
    })
}

/// How an XDP program is attached to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpAttachment {
    /// None is.
    None,
    /// In the driver.
    Native,
    /// Behind the driver, on socket buffers.
    Generic,
}

/// How XDP is attached to each interface of the namespace.
pub fn xdp_attachments(namespace: &Namespace) -> Result<BTreeMap<String, XdpAttachment>> {
    let links = links(namespace)?;
    links
        .iter()
        .map(|link| Ok((name(link)?.to_owned(), attachment(link)?)))
        .collect()
}

/// An XDP program that is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpProgram {
    /// Its number, which the kernel gives to no other program.
    pub id: u64,
    /// A digest of its instructions.
    pub tag: String,
}

/// The programs that are attached to interfaces of the namespace, by interface.
pub fn xdp_programs(namespace: &Namespace) -> Result<BTreeMap<String, XdpProgram>> {
    let links = links(namespace)?;
    let attached = links.iter().filter(|link| !link["xdp"].is_null());
    attached
        .map(|link| {
            let program = &link["xdp"]["prog"];
            let (id, tag) = (program["id"].as_u64(), program["tag"].as_str());
            let (id, tag) = id
                .zip(tag)
                .context("`ip` shows an XDP program without id or tag")?;
            let tag = tag.to_owned();
            Ok((name(link)?.to_owned(), XdpProgram { id, tag }))
        })
        .collect()
}

/// A counter of a namespace's own stack, by its names in `/proc/net/snmp` (RFC 1213): of a protocol, and its own.
pub fn kernel_counter(namespace: &Namespace, protocol: &str, name: &str) -> Result<u64> {
    namespace.run(|| {
        let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
        let rows = text.lines().filter_map(|line| line.split_once(": "));
        let mut rows = rows.filter_map(|(of, row)| (of == protocol).then_some(row));
        // A row of names, and one of values.
        let (names, values) = (rows.next(), rows.next());
        let mut pairs = names
            .unwrap_or_default()
            .split(' ')
            .zip(values.unwrap_or_default().split(' '));
        let found = pairs.find(|(of, _)| *of == name);
        let (_, value) = found.with_context(|| format!("no counter {name} of {protocol}"))?;
        value
            .parse()
            .with_context(|| format!("{name} of {protocol} is no number"))
    })
}

/// Frames received on these interfaces since they exist.
///
/// A veth that runs XDP counts every frame that it takes from its ring (`veth_xdp_rcv` in drivers/net/veth.c), so
/// that this is what the program saw, whatever became of the frame. Compared with the kernel's own count of the
/// program's runs: equal to the frame.
pub fn received_frames(namespace: &Namespace, interfaces: &[String]) -> Result<u64> {
    // Not by `ip`: while it starts, more frames come.
    let text =
        namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev").context("no interface counters"))?;
    let counters: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.trim_start().split_once(':'))
        .collect();
    let frames = interfaces.iter().map(|interface| {
        let counters = counters.get(interface.as_str());
        let counters = counters.with_context(|| format!("there is no interface {interface}"))?;
        // Bytes, packets.
        let frames = counters
            .split_whitespace()
            .nth(1)
            .context("there is no counter of packets")?;
        frames.parse::<u64>().context("a counter is no number")
    });
    frames.sum()
}

/// Frames that the namespace's interfaces took or were to send, and dropped.
pub fn dropped_frames(namespace: &Namespace) -> Result<u64> {
    let links = links(namespace)?;
    let counter = |link: &Value, direction: &str| {
        let counters = &link["stats64"][direction];
        let [dropped, errors] = ["dropped", "errors"].map(|counter| counters[counter].as_u64());
        dropped.zip(errors).context("`ip` shows no drop counters")
    };
    links.iter().try_fold(0, |sum, link| {
        let ((rx, rx_errors), (tx, tx_errors)) = (counter(link, "rx")?, counter(link, "tx")?);
        Ok(sum + rx + rx_errors + tx + tx_errors)
    })
}

/// The namespace's own ends of its established TCP connections to `peer`.
pub fn connections_to(namespace: &Namespace, peer: SocketAddr) -> Result<BTreeSet<SocketAddr>> {
    let filter = ["-Htn", "state", "established", "dst", &peer.to_string()];
    let text = command::output(namespace.command("ss").args(filter))?;
    let own_end = |line: &str| {
        // Receive queue, send queue, own end, peer.
        let end = line
            .split_whitespace()
            .nth(2)
            .context("`ss` shows a line without an address")?;
        end.parse()
            .with_context(|| format!("`ss` shows {end} as an address"))
    };
    text.lines().map(own_end).collect()
}

/// Tables of nftables in the namespace, one line each as `nft` prints them.
pub fn packet_filters(namespace: &Namespace) -> Result<Vec<String>> {
    let text = command::output(namespace.command("nft").args(["list", "tables"]))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Sockets that listen in the namespace, one line each as `ss` prints them.
pub fn listeners(namespace: &Namespace) -> Result<Vec<String>> {
    let text = command::output(namespace.command("ss").arg("-Hlntu"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn links(namespace: &Namespace) -> Result<Vec<Value>> {
    let text = command::ip([
        "-n",
        namespace.name(),
        "-json",
        "-details",
        "-statistics",
        "link",
        "show",
    ])?;
    serde_json::from_str(&text).context("`ip -json link show` printed no JSON")
}

fn name(link: &Value) -> Result<&str> {
    link["ifname"]
        .as_str()
        .context("`ip` shows a link without a name")
}

fn attachment(link: &Value) -> Result<XdpAttachment> {
    // XDP_ATTACHED_* in linux/if_link.h.
    match link["xdp"]["mode"].as_u64() {
        None | Some(0) => Ok(XdpAttachment::None),
        Some(1) => Ok(XdpAttachment::Native),
        Some(2) => Ok(XdpAttachment::Generic),
        Some(other) => anyhow::bail!("{} has XDP attached in the unknown mode {other}", name(link)?),
    }
}

/// Resident memory of a process, in megabytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Its own: heap and stacks.
    pub own: f64,
    /// Of files and tables that it has mapped.
    pub mapped: f64,
}

/// Resident memory of a process.
pub fn memory(pid: u32) -> Result<Memory> {
    let file = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let megabytes = |key: &str| -> Result<f64> {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = value.and_then(|value| value.split_whitespace().next());
        let kilobytes: f64 = kilobytes
            .with_context(|| format!("no {key} in {file}"))?
            .parse()
            .with_context(|| format!("cannot understand {file}"))?;
        Ok(kilobytes * 1024.0 / 1e6)
    };
    let own = megabytes("RssAnon:")?;
    Ok(Memory {
        own,
        mapped: megabytes("VmRSS:")? - own,
    })
}
