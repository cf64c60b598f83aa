//! The host as a whole: kernel, rights, file systems, and what others have left.

use std::{fs, path::Path};

use caps::{CapSet, Capability};

use super::{Subject, command::sysctl, finding::Finding};
use crate::{
    config::types::{Config, DataplaneChoice},
    dataplane::{Pins, bpffs},
};

/// Without it a program cannot go on in others that were loaded apart (links are replaced atomically since 5.9, and maps
/// mapped since 5.5; the tests run from here on).
const OLDEST: (u32, u32) = (5, 15);
/// Programs on what leaves (tcx).
const OF_LOCAL_BACKENDS: (u32, u32) = (6, 6);

const MIB: u64 = 1 << 20;

pub(super) fn findings(subject: &Subject, socket: &Path) -> Vec<Finding> {
    let mut findings = vec![kernel(), rights()];
    if subject.dataplane != DataplaneChoice::AfPacket {
        findings.push(bpf_file_system());
        findings.extend(compiler());
    }
    findings.extend(leftovers(subject, socket));
    findings.extend(ports(subject.config.as_ref()));
    findings.extend(subject.config.as_ref().map(state_directory));
    findings.extend(subject.config.as_ref().map(memory));
    findings
}

fn kernel() -> Finding {
    let release = sysctl("kernel/osrelease").unwrap_or_default();
    match version(&release) {
        Some(version) if version < OLDEST => Finding::wrong(
            "kernel",
            format!(
                "Linux {release} is older than {}.{}: update it, or set dataplane = \"af-packet\"",
                OLDEST.0, OLDEST.1
            ),
        ),
        Some(version) if version < OF_LOCAL_BACKENDS => Finding::note(
            "kernel",
            format!("Linux {release} has no tcx (6.6): backends on this host itself cannot be served"),
        ),
        Some(_) => Finding::fine("kernel", format!("Linux {release}")),
        None => Finding::note(
            "kernel",
            format!("{release:?} is no version that could be understood"),
        ),
    }
}

/// The first two numbers of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn rights() -> Finding {
    let needed = [
        Capability::CAP_BPF,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_PERFMON,
        Capability::CAP_NET_RAW,
    ];
    let missing: Vec<String> = needed
        .into_iter()
        .filter(|capability| !caps::has_cap(None, CapSet::Effective, *capability).unwrap_or(false))
        .map(|capability| capability.to_string())
        .collect();
    if missing.is_empty() {
        Finding::fine("rights", "this user may do all that the daemon has to")
    } else {
        Finding::note(
            "rights",
            format!(
                "this user lacks {}: run the daemon, and this, as root",
                missing.join(", ")
            ),
        )
    }
}

fn bpf_file_system() -> Finding {
    if bpffs::is_mounted().unwrap_or(false) {
        Finding::fine(bpffs::MOUNT_POINT, "the BPF file system is mounted")
    } else {
        Finding::wrong(
            bpffs::MOUNT_POINT,
            "the BPF file system is not mounted: the packet path could not outlive its daemon",
        )
        .mended_by(format!("mount -t bpf bpf {}", bpffs::MOUNT_POINT))
    }
}

/// Without it each instruction of the packet path is interpreted.
fn compiler() -> Option<Finding> {
    let setting = "net/core/bpf_jit_enable";
    (sysctl(setting)? == "0").then(|| {
        Finding::wrong(
            "net.core.bpf_jit_enable",
            "BPF programs are interpreted instead of compiled: ten times slower",
        )
        .mended_by("sysctl -w net.core.bpf_jit_enable=1")
    })
}

fn leftovers(subject: &Subject, socket: &Path) -> Option<Finding> {
    let socket = subject
        .config
        .as_ref()
        .map_or(socket, |config| &config.global.socket);
    if subject.running {
        return None;
    }
    let left = Pins::find(socket).ok()?.filter(Pins::are_in_force)?;
    drop(left);
    let path = socket.display();
    Some(
        Finding::note(
            format!("{path}"),
            "no daemon runs, but the packet path of the last one forwards with what it knew; `ballast run` takes over",
        )
        .mended_by(format!("ballast stop --socket {path}")),
    )
}

/// A port that full NAT and the host's own connections both use is taken from whoever has it second.
fn ports(config: Option<&Config>) -> Option<Finding> {
    let setting = "net/ipv4/ip_local_port_range";
    let range = sysctl(setting)?;
    let mut own = range.split_whitespace().map(str::parse::<u16>);
    let (first, last) = (own.next()?.ok()?, own.next()?.ok()?);
    let (pool_first, pool_last) = config?.global.snat_ports;
    if pool_first.get() > last || first > pool_last.get() {
        return Some(Finding::fine(
            "snat_ports",
            format!("{pool_first}-{pool_last} is apart from the host's own {first}-{last}"),
        ));
    }
    let finding = Finding::wrong(
        "snat_ports",
        format!(
            "{pool_first}-{pool_last} overlaps with the host's own ports {first}-{last}: its connections would be taken for flows"
        ),
    );
    let apart = pool_last.get().checked_add(1).filter(|first| *first < last);
    Some(match apart {
        Some(first) => finding.mended_by(format!(
            "sysctl -w net.ipv4.ip_local_port_range=\"{first} {last}\""
        )),
        None => finding,
    })
}

fn state_directory(config: &Config) -> Finding {
    let directory = &config.global.state_dir;
    let place = directory.display().to_string();
    let nearest = directory.ancestors().find(|ancestor| ancestor.exists());
    let writable =
        nearest.is_some_and(|nearest| nix::unistd::access(nearest, nix::unistd::AccessFlags::W_OK).is_ok());
    if writable {
        Finding::fine(place, "what outlives the daemon can be written")
    } else {
        Finding::wrong(
            &place,
            "cannot be written: runtime changes would be lost at a restart",
        )
        .mended_by(format!("install -d -m 0750 {place}"))
    }
}

/// What the flow tables take, beside what is free.
fn memory(config: &Config) -> Finding {
    let flows = u64::from(config.global.max_flows);
    let has = |is_v4: bool| {
        config
            .services
            .iter()
            .flat_map(|service| &service.bind)
            .any(|bind| bind.is_ipv4() == is_v4)
    };
    let bytes = flows * (if has(true) { 256 } else { 0 } + if has(false) { 512 } else { 0 });
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
        kilobytes.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    });
    let what = format!("the flow table takes {} MiB", bytes / MIB);
    match available {
        Some(available) if bytes > available => Finding::wrong(
            "max_flows",
            format!("{what}, more than the {} MiB that are free", available / MIB),
        ),
        _ => Finding::fine("max_flows", what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.15+x"), Some((5, 15)));
        assert!(version("5.4.0") < Some(OLDEST) && version("10.0.1") > Some(OLDEST));
        assert_eq!(version("generic"), None);
    }
}
