//! What the subcommands print for people, and how arguments are understood.

use clap::CommandFactory as _;

use super::*;
use crate::{
    daemon::{self, AttachedInterface},
    stats::sample,
};

#[test]
fn the_arguments_are_well_formed_and_every_help_has_an_example() {
    Cli::command().debug_assert();
    let words: [&[&str]; 6] = [
        &[],
        &["run"],
        &["check"],
        &["stats"],
        &["status"],
        &["backend", "list"],
    ];
    for words in words {
        let line = ["ballast"].iter().chain(words).chain(&["--help"]);
        let help = Cli::try_parse_from(line)
            .expect_err("help ends the parsing")
            .to_string();
        assert!(help.contains("Example:\n  ballast "), "{help}");
    }
}

#[test]
fn statistics_are_shown_as_a_table() {
    let text = stats::text(&sample::statistics());
    let expected = "\
Ballast 1.2.3 · xdp · running for 1d 2h
5,000,000 packets: 3,998,759 forwarded, 1,000,000 passed to this host, 1,241 dropped
not forwarded: fragment 1,234, no_backend 7
";
    assert!(text.starts_with(expected), "{text}");
    for line in text.lines() {
        println!("{line}");
    }
}

#[test]
fn backends_are_listed_by_the_name_that_commands_take() {
    let text = backend::text(&sample::statistics().listed_backends());
    println!("{text}");
}

#[test]
fn a_status_says_why_an_interface_is_not_in_its_best_mode() {
    let status = daemon::Status {
        version: "1.2.3".to_owned(),
        pid: 42,
        uptime_seconds: 185,
        dataplane: "xdp-generic".to_owned(),
        interfaces: vec![
            AttachedInterface {
                name: "eth0".to_owned(),
                mode: "xdp".to_owned(),
                why: None,
            },
            AttachedInterface {
                name: "tun0".to_owned(),
                mode: "xdp-generic".to_owned(),
                why: Some("the driver has no native XDP".to_owned()),
            },
        ],
        stats: Some("127.0.0.1:1080".parse().expect("an address")),
        services_up: 1,
        services_degraded: 2,
        services_down: 3,
    };
    println!("{}", status::text(&status));
}
