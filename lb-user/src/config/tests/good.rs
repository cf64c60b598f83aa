//! Good configurations, and what they become.

use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::config::{
    Config, load,
    types::{
        Check, CheckKind, CheckSource, DataplaneChoice, Destination, Exchange, Flaps, FlowLog, Health,
        HttpCheck, HttpVersion, Mode, Protocol, Scheduler,
    },
};

/// The check of a backend, by their numbers within the configuration.
pub(super) fn checked(config: &Config, service: usize, backend: usize) -> Arc<Check> {
    match &config.services[service].backends[backend].health {
        Health::Checked(check) => Arc::clone(check),
        tracked @ Health::Tracked { .. } => panic!("it is not checked itself: {tracked:?}"),
    }
}

pub(super) fn parsed(text: &str) -> Config {
    parse(text, Path::new("lb.toml")).expect("a good configuration")
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let config = parsed(FULL);
    let global = &config.global;
    assert_eq!(global.interfaces, ["eth0", "eth1"]);
    assert_eq!(global.dataplane, DataplaneChoice::Xdp);
    assert_eq!(format!("{:?}", global.snat_addresses), "[10.0.0.2, fd00::2]");
    assert_eq!(
        (global.snat_ports.0.get(), global.snat_ports.1.get()),
        (2000, 2999)
    );
    assert_eq!(global.max_flows, 1000);
    assert_eq!(global.state_dir, Path::new("/var/lib/other"));
    assert_eq!(global.socket, Path::new("/run/other.sock"));

    let stats = config.stats.expect("[stats]");
    assert_eq!(stats.bind.to_string(), "127.0.0.1:1080");
    assert_eq!(
        (stats.uri.as_str(), stats.hide_version, stats.realm.as_str()),
        ("/lb/stats", true, "Staging")
    );

    let fe = &config.services[0];
    assert_eq!(fe.name.as_str(), "fe");
    assert_eq!(format!("{:?}", fe.bind), "{10.0.0.100:9030, [fd00::100]:9030}");
    assert_eq!(
        (fe.protocol, fe.mode, fe.scheduler),
        (Protocol::Tcp, Mode::FullNat, Scheduler::Maglev)
    );
    assert_eq!((fe.idle_timeout, fe.table_size), (Duration::from_hours(2), 251));
    let backends: Vec<String> = fe
        .backends
        .iter()
        .map(|b| format!("{} {} {}", b.name, b.address, b.weight))
        .collect();
    assert_eq!(
        backends,
        ["node1 10.0.0.80:9030 256", "node2 [fd00::80]:9030 100"]
    );
}

#[test]
fn an_http_check_keeps_its_request() {
    let five = Duration::from_secs(5);
    let check = Check {
        kind: CheckKind::Http(HttpCheck {
            method: "HEAD".to_owned(),
            target: "/health?full=1".to_owned(),
            headers: vec![
                ("Host".to_owned(), "fe.example".to_owned()),
                ("X-Check".to_owned(), "1".to_owned()),
            ],
            version: HttpVersion::V1_1,
            login: None,
            status: vec![200..=299],
            body: Vec::new(),
            tls: None,
        }),
        inter: five,
        fastinter: five,
        downinter: five,
        rise: 4,
        fall: 5,
        timeout: Duration::from_millis(500),
        address: None,
        port: NonZeroU16::new(8030),
        source: CheckSource::default(),
        vip: false,
        flaps: Some(Flaps {
            most: NonZeroU32::new(5).unwrap(),
            window: Duration::from_mins(1),
        }),
        observe: None,
    };
    assert_eq!(*checked(&parsed(FULL), 0, 0), check);
}

#[test]
fn what_is_not_written_has_a_default() {
    let text = r#"
        [[service]]
        name = "a"
        bind = ["10.0.0.100:1"]
        backend = [{ name = "b", address = "10.0.0.1:1" }]
    "#;
    let config = parsed(text);
    let global = &config.global;
    assert!(global.interfaces.is_empty() && global.snat_addresses.is_empty() && config.stats.is_none());
    assert_eq!(global.dataplane, DataplaneChoice::Auto);
    assert_eq!(
        (global.snat_ports.0.get(), global.snat_ports.1.get()),
        (1024, 32_767)
    );
    assert_eq!(global.max_flows, 262_144);
    assert_eq!(global.state_dir, Path::new("/var/lib/ballast"));
    assert_eq!(global.socket, Path::new("/run/ballast/ballast.sock"));

    let service = &config.services[0];
    assert_eq!((service.protocol, service.mode), (Protocol::Tcp, Mode::FullNat));
    assert_eq!(
        (service.idle_timeout, service.table_size),
        (Duration::from_hours(3), 4093)
    );
    assert_eq!(service.backends[0].weight, 100);
    let check = checked(&config, 0, 0);
    assert_eq!(
        (&check.kind, check.port),
        (&CheckKind::Tcp(Exchange::default()), None)
    );
    assert_eq!((check.rise, check.fall), (2, 3));
    assert_eq!(
        (check.inter, check.timeout),
        (Duration::from_secs(2), Duration::from_secs(2))
    );
}

#[test]
fn defaults_follow_what_is_written() {
    let config = parsed(&changed("timeout = \"500ms\"\n", ""));
    assert_eq!(
        checked(&config, 0, 0).timeout,
        Duration::from_secs(2),
        "no longer than two seconds"
    );
    let config = parsed(&changed("timeout = \"500ms\"", "").replace("inter = \"5s\"", "inter = \"300ms\""));
    assert_eq!(
        checked(&config, 0, 0).timeout,
        Duration::from_millis(300),
        "no longer than `inter`"
    );

    let config = parsed(FULL);
    assert_eq!(
        (&checked(&config, 1, 0).kind, config.services[1].idle_timeout),
        (&CheckKind::None, Duration::from_mins(1))
    );
    let stats = parsed(
        "[stats]\nbind = \"[::1]:1080\"\n[[service]]\nname = \"a\"\nbind = [\"10.0.0.9:1\"]\nbackend = [{ name = \"b\", address = \"10.0.0.1:1\" }]",
    );
    let stats = stats.stats.expect("[stats]");
    assert_eq!(
        (stats.uri.as_str(), stats.hide_version, stats.realm.as_str()),
        ("/stats", false, "Ballast")
    );
}

#[test]
fn statuses_are_a_number_or_a_range() {
    for (written, status) in [
        ("204", vec![204..=204]),
        ("\"200\"", vec![200..=200]),
        ("\"100-599\"", vec![100..=599]),
        ("[\"200-299\", 401]", vec![200..=299, 401..=401]),
    ] {
        let config = parsed(&changed("\"200-299\"", written));
        assert!(
            matches!(&checked(&config, 0, 0).kind, CheckKind::Http(http) if http.status == status),
            "{written}"
        );
    }
}

#[test]
fn flows_are_logged_where_the_file_says() {
    let to = |to: &str| parsed(&format!("{FULL}\n[flow_log]\n{to}")).flow_log;
    let expected = |to, dontlognull| Some(FlowLog { to, dontlognull });
    assert_eq!(
        to("to = \"stdout\"\ndontlognull = true"),
        expected(Destination::Stdout, true)
    );
    assert_eq!(
        to("to = \"/var/log/flows\""),
        expected(Destination::File("/var/log/flows".into()), false)
    );
    assert_eq!(parsed(FULL).flow_log, None);
}

#[test]
fn things_that_only_look_wrong_are_accepted() {
    let rows = [
        ("one port may be bound for tcp and for udp", ":53\"]", ":9030\"]"),
        ("all backends may be drained", "weight = 256", "weight = 0"),
        (
            "a service may be on a port of its own at the same address",
            ":9030\", \"[",
            ":1\", \"[",
        ),
        (
            "a udp service may be checked over tcp",
            "\"udp\"\n",
            "\"udp\"\ncheck = { type = \"tcp\", port = 53 }\n",
        ),
        ("the page may be at the root", "\"/lb/stats\"", "\"/\""),
    ];
    for (why, from, to) in rows {
        assert!(parse(&changed(from, to), Path::new("f")).is_ok(), "{why}");
    }
}

#[test]
fn a_missing_file_is_said_to_be_missing() {
    let error = load(Path::new("/nonexistent/lb.toml")).expect_err("there is no such file");
    assert_eq!(
        error.to_string(),
        "/nonexistent/lb.toml: cannot be read: No such file or directory (os error 2)"
    );
}
