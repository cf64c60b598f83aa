//! Modes, schedulers, lifetimes, limits and source lists: all that only the packet path heeds.

use std::{num::NonZeroU16, time::Duration};

use super::*;
use crate::config::{
    Config, convert, syntax,
    types::{Access, Encapsulation, Mode, OnDown, Scheduler, Service, SourceLimits, SourceRules, SynCookies},
};

/// Every key of the packet path; the rows of `broken_packet_path.txt` each change one thing in it.
pub(super) const EXAMPLE: &str = r#"[global]
icmp_echo = false
allow = ["10.0.0.0/8", "fd00::/8"]
deny = ["10.66.0.0/16"]

[[service]]
name = "nat"
bind = ["10.0.0.100:9030", "[fd00::100]:9030"]
mode = "nat"
scheduler = "least-conn"
idle_timeout = "2h"
connect_timeout = "5s"
close_timeout = "30s"
drain_timeout = "10m"
maxconn = 4000
on_down = "keep"
retries = 1
hide_refused = true
allow = ["10.0.0.0/24"]
deny = ["10.0.0.7", "fd00::7"]
[service.limits]
new_flows_per_second = 50
active_flows = 200
packets_per_second = 100000
[[service.backend]]
name = "node1"
address = "10.0.0.80:9031"
maxconn = 1000
[[service.backend]]
name = "node2"
address = "[fd00::80]:9030"
backup = true

[[service]]
name = "dsr"
bind = ["10.0.0.101:9030"]
mode = "dsr"
scheduler = "source"
[[service.backend]]
name = "node3"
address = "10.0.0.81:9030"

[[service]]
name = "tunnel"
bind = ["10.0.0.102:9030", "[fd00::102]:9030"]
mode = "tunnel"
encapsulation = "gue"
gue_port = 6081
scheduler = "round-robin"
[[service.backend]]
name = "node4"
address = "10.0.0.82:9030"

[[service]]
name = "dns"
bind = ["10.0.0.103:53"]
protocol = "udp"
verify_checksums = true
[[service.backend]]
name = "node5"
address = "10.0.0.83:53"
"#;

/// What a text means, whether or not all of it is built.
fn understood(text: &str) -> Config {
    syntax::read(text)
        .and_then(convert::config)
        .expect("a good configuration")
}

fn service(text: &str, name: &str) -> Service {
    let mut services = understood(text).services.into_iter();
    services
        .find(|service| service.name.as_str() == name)
        .expect("it is in the example")
}

fn rules(rules: &SourceRules) -> String {
    let allowed = rules.networks.iter().map(|(network, access)| match access {
        Access::Allow => format!("+{network} "),
        Access::Deny => format!("-{network} "),
    });
    format!("{}else {:?}", allowed.collect::<String>(), rules.otherwise)
}

#[test]
fn syns_are_answered_with_cookies_as_is_said_and_where_that_can_be() {
    let of = |text: &str, name| service(text, name).syn_cookies;
    for word in SynCookies::ALL {
        let text = EXAMPLE.replace(
            "retries = 1",
            &format!("retries = 1\nsyn_cookies = \"{}\"", word.as_str()),
        );
        assert_eq!(of(&text, "nat"), *word);
    }
    assert_eq!(of(EXAMPLE, "nat"), SynCookies::Auto);
    for name in ["dsr", "tunnel", "dns"] {
        assert_eq!(of(EXAMPLE, name), SynCookies::Never, "{name}");
    }
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let global = understood(EXAMPLE).global;
    assert!(!global.icmp_echo);
    assert_eq!(
        rules(&global.sources),
        "+10.0.0.0/8 -10.66.0.0/16 +fd00::/8 else Deny"
    );

    let nat = service(EXAMPLE, "nat");
    assert_eq!((nat.mode, nat.scheduler), (Mode::Nat, Scheduler::LeastConn));
    assert_eq!(nat.connect_timeout, Duration::from_secs(5));
    assert_eq!(nat.close_timeout, Duration::from_secs(30));
    assert_eq!(nat.drain_timeout, Some(Duration::from_mins(10)));
    assert_eq!(nat.maxconn.map(u32::from), Some(4000));
    assert_eq!(
        (nat.on_down, nat.retries, nat.hide_refused),
        (OnDown::Keep, 1, true)
    );
    assert_eq!(
        rules(&nat.sources),
        "+10.0.0.0/24 -10.0.0.7/32 -fd00::7/128 else Deny"
    );
    let SourceLimits {
        new_flows_per_second,
        active_flows,
        packets_per_second,
    } = nat.limits;
    let limits = [new_flows_per_second, active_flows, packets_per_second];
    assert_eq!(
        limits.map(|limit| limit.map(u32::from)),
        [Some(50), Some(200), Some(100_000)]
    );
    let backends: Vec<_> = nat
        .backends
        .iter()
        .map(|backend| (backend.maxconn.map(u32::from), backend.backup))
        .collect();
    assert_eq!(backends, [(Some(1000), false), (None, true)]);
}

#[test]
fn checksums_are_verified_where_that_is_asked_for() {
    let verifying = ["nat", "dsr", "tunnel", "dns"].map(|name| service(EXAMPLE, name).verify_checksums);
    assert_eq!(verifying, [false, false, false, true]);
}

#[test]
fn modes_and_schedulers_are_told_apart() {
    let dsr = service(EXAMPLE, "dsr");
    assert_eq!((dsr.mode, dsr.scheduler), (Mode::Dsr, Scheduler::Source));
    let tunnel = service(EXAMPLE, "tunnel");
    let gue = |port| {
        Mode::Tunnel(Encapsulation::Gue {
            port: NonZeroU16::new(port).expect("a port"),
        })
    };
    assert_eq!(
        (tunnel.mode, tunnel.scheduler),
        (gue(6081), Scheduler::RoundRobin)
    );
    assert_eq!(tunnel.bind.len(), 2, "one IPv4 backend serves both families");

    let no_port = changed_in(EXAMPLE, "gue_port = 6081\n", "");
    assert_eq!(service(&no_port, "tunnel").mode, gue(6080));
    let no_encapsulation = changed_in(&no_port, "encapsulation = \"gue\"\n", "");
    assert_eq!(
        service(&no_encapsulation, "tunnel").mode,
        Mode::Tunnel(Encapsulation::Ipip)
    );
}

#[test]
fn what_is_not_written_has_a_default() {
    let config = understood(FULL);
    assert!(config.global.icmp_echo);
    let [fe, dns] = config.services.as_slice() else {
        panic!("two services")
    };
    assert_eq!(
        (fe.connect_timeout, fe.close_timeout),
        (Duration::from_secs(20), Duration::from_mins(1))
    );
    assert_eq!(
        (fe.drain_timeout, fe.maxconn, fe.limits),
        (None, None, SourceLimits::default())
    );
    assert_eq!(
        (fe.on_down, fe.retries, fe.hide_refused),
        (OnDown::Reset, 3, false)
    );
    assert_eq!(
        (dns.on_down, dns.retries, dns.hide_refused),
        (OnDown::Reset, 0, false)
    );
    for list in [&config.global.sources, &fe.sources] {
        assert_eq!(rules(list), "else Allow");
    }
    assert_eq!((fe.backends[0].maxconn, fe.backends[0].backup), (None, false));
}

#[test]
fn defaults_follow_what_is_written() {
    let retries = ["dsr", "tunnel"].map(|name| service(EXAMPLE, name).retries);
    assert_eq!(retries, [0, 0], "their answers are not seen");
    let brief = service(&changed("idle_timeout = \"2h\"", "idle_timeout = \"3s\""), "fe");
    assert_eq!(
        (brief.connect_timeout, brief.close_timeout),
        (Duration::from_secs(3), Duration::from_secs(3)),
        "no longer than `idle_timeout`"
    );
    let only_denied = changed_in(EXAMPLE, "allow = [\"10.0.0.0/24\"]\n", "");
    assert_eq!(
        rules(&service(&only_denied, "nat").sources),
        "-10.0.0.7/32 -fd00::7/128 else Allow"
    );
}

#[test]
fn things_that_only_look_wrong_are_accepted() {
    let rows = [
        ("all backends may be backups", "maxconn = 1000", "backup = true"),
        ("a list may deny no one", "deny = [\"10.66.0.0/16\"]", "deny = []"),
        (
            "a network may be within one that is denied",
            "[\"10.66.0.0/16\"]",
            "[\"0.0.0.0/0\"]",
        ),
        (
            "a network may be in the lists of all and of a service",
            "\"10.0.0.0/24\"",
            "\"10.0.0.0/8\"",
        ),
        (
            "udp flows may stay or move",
            "\"udp\"",
            "\"udp\"\non_down = \"reset\"",
        ),
        (
            "there need be no retry",
            "retries = 1\nhide_refused = true",
            "retries = 0\nhide_refused = false",
        ),
        (
            "a tunnel may join the families the other way",
            "10.0.0.82:9030",
            "[fd00::82]:9030",
        ),
    ];
    for (why, from, to) in rows {
        let text = changed_in(EXAMPLE, from, to);
        assert!(syntax::read(&text).and_then(convert::config).is_ok(), "{why}");
    }
}

#[test]
fn the_lists_together_hold_a_hundred_thousand_networks() {
    let written = 3 + 3;
    let network = |n: usize| format!("\"11.{}.{}.{}\"", n >> 16, n >> 8 & 255, n & 255);
    let with = |count: usize| {
        let networks: Vec<String> = (0..count).map(network).collect();
        let list = format!("\"udp\"\ndeny = [\n{}\n]", networks.join(",\n"));
        changed_in(EXAMPLE, "\"udp\"", &list)
    };
    let full = service(&with(100_000 - written), "dns");
    assert_eq!(full.sources.networks.len(), 100_000 - written);

    let one_more = with(100_000 - written + 1);
    let last = one_more
        .lines()
        .position(|line| line == "]")
        .expect("the list's end");
    assert_eq!(
        complaint(&one_more),
        format!(
            "{last}:1: there are more than 100000 networks in all lists; join neighbouring networks into larger ones"
        )
    );
}
