//! An interface that packets are to be taken from.

use nix::net::if_::if_nametoindex;

use super::{
    Subject,
    command::{output, sysctl},
    finding::Finding,
};
use crate::config::types::DataplaneChoice;

/// The longest packet that most drivers take in native XDP: a page less what they and XDP need.
const LONGEST_NATIVE: u32 = 3498;

/// Offloads by which a NIC or a driver merges packets before XDP sees them.
const MERGING: [&str; 2] = ["large-receive-offload", "rx-gro-hw"];

pub(super) fn findings(subject: &Subject, name: &str) -> Vec<Finding> {
    if if_nametoindex(name).is_err() {
        return vec![Finding::wrong(
            name,
            "there is no such interface: `ip link` lists those there are",
        )];
    }
    let mut findings: Vec<Finding> = [mtu(subject, name), reverse_path(subject, name)]
        .into_iter()
        .flatten()
        .collect();
    findings.extend(offloads(subject, name));
    if findings.is_empty() {
        findings.push(Finding::fine(name, "nothing stands in the way of packets"));
    }
    findings
}

fn mtu(subject: &Subject, name: &str) -> Option<Finding> {
    let text = output("ip", &["-o", "link", "show", "dev", name])?;
    let mtu: u32 = text
        .split_whitespace()
        .skip_while(|word| *word != "mtu")
        .nth(1)?
        .parse()
        .ok()?;
    let native = matches!(subject.dataplane, DataplaneChoice::Auto | DataplaneChoice::Xdp);
    (native && mtu > LONGEST_NATIVE).then(|| {
        Finding::note(
            name,
            format!(
                "MTU {mtu}: most drivers take no more than {LONGEST_NATIVE} in native XDP, and then generic XDP is used"
            ),
        )
        .mended_by(format!("ip link set dev {name} mtu {LONGEST_NATIVE}"))
    })
}

/// What is passed to the host comes from clients, whose way back may be another one.
fn reverse_path(subject: &Subject, name: &str) -> Option<Finding> {
    // The stricter of the two counts (Documentation/networking/ip-sysctl.rst).
    let of = |name: &str| {
        sysctl(&format!("net/ipv4/conf/{name}/rp_filter"))?
            .parse::<u8>()
            .ok()
    };
    let strict = of(name)?.max(of("all")?) == 1;
    (strict && subject.interfaces.len() > 1).then(|| {
        Finding::note(
            name,
            "rp_filter is strict: what the host gets of clients whose way back leads by another interface is dropped, which \
             breaks backends on this host",
        )
        .mended_by(format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{name}.rp_filter=2"))
    })
}

fn offloads(subject: &Subject, name: &str) -> Vec<Finding> {
    if subject.dataplane == DataplaneChoice::AfPacket {
        return Vec::new();
    }
    let Some(text) = output("ethtool", &["-k", name]) else {
        return vec![Finding::note(name, "offloads are unknown: install ethtool")];
    };
    let is_on = |feature: &str| text.lines().any(|line| line.trim() == format!("{feature}: on"));
    let merging = MERGING.into_iter().filter(|feature| is_on(feature));
    let mut findings: Vec<Finding> = merging
        .map(|feature| {
            Finding::wrong(
                name,
                format!("{feature} is on: the driver refuses XDP, or shows it merged packets"),
            )
            .mended_by(format!("ethtool -K {name} {} off", short(feature)))
        })
        .collect();
    if is_on("generic-receive-offload") && subject.dataplane == DataplaneChoice::XdpGeneric {
        findings.push(
            Finding::wrong(
                name,
                "generic-receive-offload is on: generic XDP drops what it has merged to more than the MTU",
            )
            .mended_by(format!("ethtool -K {name} gro off")),
        );
    }
    findings
}

/// The name that `ethtool -K` takes.
fn short(feature: &str) -> &str {
    match feature {
        "large-receive-offload" => "lro",
        other => other,
    }
}
