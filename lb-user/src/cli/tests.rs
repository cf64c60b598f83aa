//! What the subcommands print for people, and how arguments are understood.

use clap::CommandFactory as _;

use super::*;
use crate::{
    config::{Config, types::DataplaneChoice},
    daemon::{self, AttachedInterface},
    stats::sample,
    trace::{Line, Packet},
};

#[test]
fn the_arguments_are_well_formed_and_every_help_has_an_example() {
    Cli::command().debug_assert();
    let mut commands = vec![(Vec::new(), Cli::command())];
    while let Some((words, command)) = commands.pop() {
        for below in command.get_subcommands() {
            commands.push((
                [&words[..], &[below.get_name().to_owned()]].concat(),
                below.clone(),
            ));
        }
        if command.has_subcommands() && !words.is_empty() {
            continue;
        }
        let line = ["ballast".to_owned()]
            .into_iter()
            .chain(words)
            .chain(["--help".to_owned()]);
        let help = Cli::try_parse_from(line)
            .expect_err("help ends the parsing")
            .to_string();
        assert!(help.contains("Example:\n  ballast "), "{help}");
    }
}

/// Tables with the blanks between their columns made one, as the widths are the table library's affair.
fn squeezed(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn statistics_are_shown_as_a_table() {
    assert_eq!(
        squeezed(&stats::text(&sample::statistics())),
        [
            "Ballast 1.2.3 · xdp · running for 1d 2h",
            "5,000,000 packets: 3,998,759 forwarded, 1,000,000 passed to this host, 1,241 dropped",
            "not forwarded: fragment 1,234, no_backend 7",
            "",
            "SERVICE BACKEND STATE SHARE FLOWS TOTAL IN OUT RETRIES REFUSED RESETS CHECK",
            "fe degraded 60 172,835 4.5 GiB 16.0 GiB 35 10 15",
            "node1 up 3m 5s 33.3 % 12 34,567 941.9 MiB 3.2 GiB 7 2 3 ok: HTTP 200",
            "node2 up 3m 5s 66.7 % 12 34,567 941.9 MiB 3.2 GiB 7 2 3 ok: HTTP 200",
            r#"node3 down 3m 5s 0.0 % 12 34,567 941.9 MiB 3.2 GiB 7 2 3 failed: refused by <b>"x"</b> & co"#,
            "node4 drain 3m 5s 0.0 % 12 34,567 941.9 MiB 3.2 GiB 7 2 3 none",
            "node5 up 3m 5s 100.0 % 12 34,567 941.9 MiB 3.2 GiB 7 2 3 pending: not yet checked",
        ]
    );
}

#[test]
fn backends_are_listed_by_the_names_that_commands_take() {
    let mut backends = sample::statistics().listed_backends();
    backends.truncate(1);
    backends[0].backend.check.detail = "HTTP 500 \u{1b}[2J\nno".to_owned();
    assert_eq!(
        squeezed(&backend::text(&backends)),
        [
            "BACKEND ADDRESS STATE WEIGHT FLOWS RETRIES REFUSED RESETS CHECK",
            "fe/node1 10.0.0.80:9030 up 3m 5s 100 12 7 2 3 ok: HTTP 500 [2J no",
        ],
        "and what a backend says cannot command the terminal"
    );
}

#[test]
fn a_status_says_why_an_interface_is_not_in_its_best_mode() {
    let interface = |name: &str, mode: &str, why: Option<&str>| AttachedInterface {
        name: name.to_owned(),
        mode: mode.to_owned(),
        attached: true,
        why: why.map(str::to_owned),
    };
    let status = daemon::Status {
        version: "1.2.3".to_owned(),
        pid: 42,
        uptime_seconds: 185,
        dataplane: "xdp-generic".to_owned(),
        interfaces: vec![
            interface("eth0", "xdp", None),
            interface("tun0", "xdp-generic", Some("the driver has no native XDP")),
        ],
        stats: Some("127.0.0.1:1080".parse().expect("an address")),
        services_up: 1,
        services_degraded: 2,
        services_down: 3,
    };
    assert_eq!(
        squeezed(&status::text(&status)),
        [
            "Ballast 1.2.3 · xdp-generic · process 42 · running for 3m 5s",
            "services: 1 up, 2 degraded, 3 down",
            "stats page: on 127.0.0.1:1080",
            "",
            "INTERFACE MODE WHY",
            "eth0 xdp",
            "tun0 xdp-generic the driver has no native XDP",
        ]
    );
}

#[test]
fn a_traced_packet_is_a_line_that_says_what_became_of_it() {
    let packet = Packet {
        at: "2026-01-02T03:04:05.678901Z".to_owned(),
        interface: "eth0".to_owned(),
        from: "192.0.2.7:40000".to_owned(),
        to: "10.0.0.100:9030".to_owned(),
        protocol: "tcp".to_owned(),
        flags: Some("SYN".to_owned()),
        length: 74,
        verdict: "redirect".to_owned(),
        service: Some("fe".to_owned()),
        backend: Some("node1".to_owned()),
        sent_from: Some("10.0.0.2:1024".to_owned()),
        sent_to: Some("10.0.0.80:9030".to_owned()),
        ..Packet::default()
    };
    assert_eq!(
        trace::text(&Line::Packet(Box::new(packet.clone()))),
        "03:04:05.678901Z eth0 192.0.2.7:40000 > 10.0.0.100:9030 tcp SYN 74 B: redirect fe/node1 as 10.0.0.2:1024 > \
         10.0.0.80:9030\n"
    );
    let refused = Packet {
        verdict: "drop".to_owned(),
        reason: Some("no_backend".to_owned()),
        why: Some("The service has no backend that is up.".to_owned()),
        backend: None,
        sent_from: None,
        sent_to: None,
        ..packet
    };
    assert_eq!(
        trace::text(&Line::Packet(Box::new(refused))),
        "03:04:05.678901Z eth0 192.0.2.7:40000 > 10.0.0.100:9030 tcp SYN 74 B: drop fe, no_backend: The service has no \
         backend that is up.\n"
    );
    assert_eq!(
        trace::text(&Line::Unshown { packets: 1234 }),
        "1,234 more packets were not shown\n"
    );
}

/// What `ballast run` with these arguments would run.
fn merged(config: &str, arguments: &[&str]) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, config).expect("a file");
    let path = file.path().to_str().expect("a path in UTF-8");
    let line = ["ballast", "run", "--config", path]
        .into_iter()
        .chain(arguments.iter().copied());
    let Command::Run(run) = Cli::try_parse_from(line)
        .map_err(|error| error.to_string())?
        .command
    else {
        panic!("`run` was parsed as something else");
    };
    let merged = run.source().and_then(|source| Ok(source.load()?));
    merged.map_err(|error| error.to_string().replace(path, "FILE"))
}

const SERVICE: &str = r#"
    [[service]]
    name = "a"
    bind = ["10.0.0.100:1"]
    backend = [{ name = "b", address = "10.0.0.1:1" }]
"#;

#[test]
fn the_command_line_goes_before_the_file() {
    let file = format!("[global]\ninterfaces = [\"eth0\"]\ndataplane = \"xdp\"\n{SERVICE}");
    let config = merged(&file, &[]).expect("a configuration");
    assert_eq!(
        (config.global.interfaces, config.global.dataplane),
        (vec!["eth0".to_owned()], DataplaneChoice::Xdp)
    );
    let arguments = [
        "--dataplane",
        "af-packet",
        "--interface",
        "v0",
        "--interface",
        "v1",
        "--interface",
        "v0",
    ];
    let global = merged(&file, &arguments).expect("a configuration").global;
    assert_eq!(global.interfaces, ["v0", "v1"], "each once");
    assert_eq!(global.dataplane, DataplaneChoice::AfPacket);
}

#[test]
fn running_needs_an_interface() {
    assert_eq!(
        merged(SERVICE, &[]).expect_err("no interface"),
        "no interface to serve on; set `interfaces` in [global] of FILE or give --interface"
    );
    assert!(merged(SERVICE, &["--interface", "eth0"]).is_ok());
    let refused = merged(SERVICE, &["--interface", "eth 0"]).expect_err("not a name");
    assert!(refused.contains("without spaces"), "{refused}");
    let refused = merged(SERVICE, &["--dataplane", "dpdk"]).expect_err("not an engine");
    assert!(
        refused.contains("[possible values: auto, xdp, xdp-generic, af-packet]"),
        "{refused}"
    );
}
