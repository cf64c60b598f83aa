//! What the kernel says happened in a namespace, through the tools an operator would use.

use std::collections::BTreeMap;

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

/// Frames received on these interfaces since they exist.
///
/// A veth that runs XDP counts every frame that it takes from its ring (`veth_xdp_rcv` in drivers/net/veth.c), so
/// that this is what the program saw, whatever became of the frame. Compared with the kernel's own count of the
/// program's runs: equal to the frame.
pub fn received_frames(namespace: &Namespace, interfaces: &[String]) -> Result<u64> {
    let links = links(namespace)?;
    interfaces
        .iter()
        .map(|interface| {
            let link = links.iter().find(|link| link["ifname"] == **interface);
            let link = link.with_context(|| format!("there is no interface {interface}"))?;
            link["stats64"]["rx"]["packets"]
                .as_u64()
                .context("`ip` shows no packet counter")
        })
        .sum()
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
