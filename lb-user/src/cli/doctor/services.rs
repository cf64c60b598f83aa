//! The services of a configuration beside what this host has.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};

use super::finding::Finding;
use crate::config::types::{Config, Mode};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let own = own_addresses();
    let virtual_addresses: BTreeSet<IpAddr> = config
        .services
        .iter()
        .flat_map(|service| &service.bind)
        .map(SocketAddr::ip)
        .collect();
    let absent = virtual_addresses.iter().filter(|address| !own.contains(address));
    let mut findings: Vec<Finding> = absent.map(|address| absent_address(*address)).collect();
    let backends = config.services.iter().flat_map(|service| &service.backends);
    let local: BTreeSet<IpAddr> = backends
        .map(|backend| backend.address.ip())
        .filter(|ip| own.contains(ip))
        .collect();
    findings.extend(local.iter().map(|address| {
        Finding::note(
            address.to_string(),
            "a backend on this host: it needs Linux 6.6 and dataplane xdp or xdp-generic",
        )
    }));
    let keeps_clients = config.services.iter().filter(|service| service.mode == Mode::Nat);
    findings.extend(keeps_clients.map(|service| {
        Finding::note(
            service.name.to_string(),
            "mode \"nat\": its backends' answers must come back by this host, by their default route or a rule for the port",
        )
    }));
    findings
}

fn absent_address(address: IpAddr) -> Finding {
    Finding::note(
        address.to_string(),
        "no interface of this host has this virtual address: keepalived puts it there, or it is routed here",
    )
}

fn own_addresses() -> BTreeSet<IpAddr> {
    let entries = getifaddrs().into_iter().flatten();
    entries.filter_map(|entry| address(&entry.address?)).collect()
}

fn address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
