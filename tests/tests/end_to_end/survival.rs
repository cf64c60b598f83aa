//! The packet path outlives its daemon: killed, stopped or replaced, it goes on forwarding, and the next daemon goes
//! on where the last one left off.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{
    CheckTimes, DaemonConfig, Family, Lab, Role,
    load::{Direction, Echo, Requests, SlowTransfer, Transfer},
    observe, wait_for,
};
use lb_user::flows::{Flow, FlowState};

use crate::{
    lifecycle::assert_nothing_remains,
    story::{Ended, in_lab, usual, with_daemon},
};

/// For how long nobody checks and resolves: many times the checks' interval, and longer than any TCP retransmission
/// time-out of the lab.
const ABSENCE: Duration = Duration::from_secs(3);

/// What a transfer of 20 MB would take if it never hurried.
const TRICKLE: Duration = Duration::from_secs(100);

#[test]
fn two_hundred_transfers_live_through_a_killed_and_a_replaced_daemon() {
    with_daemon(usual(), |lab| {
        let transfers = start_transfers(lab, 200)?;
        lab.kill_daemon()?;
        be_absent(lab)?;
        lab.start_daemon()?;
        assert_all_listed(lab)?;

        stop(lab, &["--keep"])?;
        lab.start_daemon()?;
        assert_all_listed(lab)?;
        let still_running = transfers.iter().all(|transfer| !transfer.is_finished());
        assert!(still_running, "a transfer ended before it could prove anything");
        assert_all_intact(transfers)
    });
}

#[test]
fn no_packet_is_lost_when_the_program_is_replaced() {
    with_daemon(usual(), |lab| {
        let echoes = Family::ALL.map(|family| {
            let echo = Echo {
                target: lab.echo(family),
                flows: 10,
                datagrams: u16::MAX,
            };
            echo.start(lab.client(), Duration::from_millis(1))
        });
        wait_for("the echoes to be on their way", Duration::from_secs(20), || {
            let (_, flows) = lab.daemon()?.flows()?;
            let established = flows.iter().filter(|flow| flow.state == FlowState::Established);
            Ok((established.count() >= 20).then_some(()))
        })?;
        let before = dropped_frames(lab)?;
        for _ in 0..3 {
            stop(lab, &["--keep"])?;
            lab.start_daemon()?;
        }
        let dropped = dropped_frames(lab)? - before;
        eprintln!("three replacements: {dropped} frames dropped by any interface");
        for echo in echoes {
            assert!(!echo.is_finished(), "the echoes ended too early");
            let report = echo.stop()?;
            eprintln!("{} of {} datagrams lost", report.lost(), report.sent);
            assert!(report.sent > 1_000, "{report:?}");
            assert_eq!(report.lost(), 0, "{report:?}");
        }
        assert_eq!(dropped, 0, "frames were dropped on the way");
        Ok(())
    });
}

#[test]
fn a_dead_daemons_last_word_on_a_backend_stays_in_force() {
    with_daemon(usual(), |lab| {
        lab.backend("be2")?.kill()?;
        let limit = CheckTimes::BRISK.until_down() + Duration::from_secs(1);
        lab.daemon()?.wait_for_state("web", "be2", "down", limit)?;
        lab.kill_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");

        let load = Requests::endless(lab.web(Family::V4)).start(lab.client());
        lab.backend("be2")?.restart()?;
        lab.start_daemon()?;
        let report = load.stop()?;
        assert_eq!(report.failed, 0, "while the next one started: {report}");
        let log = lab.daemon_log()?;
        assert!(log.contains("nobody has checked its backends"), "{log}");
        Ok(())
    });
}

#[test]
fn a_second_daemon_is_refused_whoever_left_the_first_packet_path() {
    with_daemon(usual(), |lab| {
        let socket = lab.config().socket();
        let refused = refusal(lab, &lab.config().to_toml())?;
        ensure!(
            refused.contains("belongs to a daemon that is running"),
            "{refused}"
        );

        let other = lab.config().to_toml().replace("ballast.sock", "other.sock");
        let other = other.replace(DaemonConfig::STATS_ADDRESS, "127.0.0.1:1081");
        let names_the_first = |refused: &str| {
            refused.contains("is served by another ballast")
                && refused.contains(&format!("`ballast stop --socket {}`", socket.display()))
        };
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        lab.kill_daemon()?;
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        assert_eq!(lab::pinned(lab.directory().identity()).len(), 1, "of the first");
        let report = Requests::new(lab.web(Family::V6), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn stop_leaves_nothing_and_stop_keep_leaves_all() {
    with_daemon(usual(), |lab| {
        assert!(stop(lab, &["--keep"])?.contains("still forwarded"));
        assert!(!lab.config().socket().exists());
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), 300).run(lab.client())?;
            assert_eq!(report.failed, 0, "{report}");
        }
        let said = command_stop(lab, &["--keep"])?;
        assert!(said.stdout.contains("goes on"), "{said:?}");
        let said = command_stop(lab, &[])?;
        assert!(said.stdout.contains("detached"), "{said:?}");
        assert_nothing_remains(lab)?;
        let said = command_stop(lab, &[])?;
        assert!(said.refusal()?.starts_with("nothing to stop"), "{said:?}");

        lab.start_daemon()?;
        assert!(stop(lab, &[])?.contains("detached from"));
        assert_nothing_remains(lab)
    });
}

#[test]
fn a_packet_path_of_another_capacity_is_refused_and_goes_on() {
    with_daemon(usual(), |lab| {
        lab.kill_daemon()?;
        let smaller = lab
            .config()
            .to_toml()
            .replace("[global]", "[global]\nmax_flows = 1024");
        let refused = refusal(lab, &smaller)?;
        for word in [
            "cannot adopt",
            "max_flows",
            "262144",
            "1024",
            "ballast stop --socket",
        ] {
            ensure!(refused.contains(word), "no word of {word}: {refused}");
        }
        let other_mode = lab
            .config()
            .to_toml()
            .replace("dataplane = \"xdp\"", "dataplane = \"xdp-generic\"");
        let refused = refusal(lab, &other_mode)?;
        ensure!(refused.contains("runs as xdp and"), "{refused}");
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        command_stop(lab, &[])?;
        assert_nothing_remains(lab)?;
        lab.start_daemon().map(drop)
    });
}

#[test]
fn flows_of_a_backend_that_is_configured_no_more_go_on_to_their_end() {
    with_daemon(usual(), |lab| {
        let transfers = start_transfers(lab, 12)?;
        stop(lab, &["--keep"])?;
        // be1 is configured no more, and the others move up in the file.
        let without_be1 = without_backend(&lab.config().to_toml(), "be1");
        start_on(lab, &without_be1)?;
        let (_, flows) = lab.daemon()?.flows()?;
        let of_be1 = transfers
            .iter()
            .filter(|transfer| transfer.backend == "be1")
            .count();
        assert!(of_be1 > 0, "none of the transfers is on be1");
        let without_service: Vec<_> = flows.iter().filter(|flow| flow.service.is_none()).collect();
        assert_eq!(without_service.len(), of_be1, "{without_service:#?}");
        for flow in without_service {
            let be1 = Family::ALL.map(|family| lab.direct(1, family));
            assert!(be1.contains(&flow.backend_address), "{flow:?}");
            assert_eq!(flow.backend, flow.backend_address.to_string());
        }
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!((report.failed, report.answered.get("be1")), (0, None), "{report}");
        assert_all_intact(transfers)
    });
}

#[test]
fn interfaces_may_change_from_one_daemon_to_the_next() {
    in_lab(usual(), |lab| {
        let mut config = lab.config();
        config.interfaces.retain(|interface| interface != "be3");
        let fewer = without_backend(&config.to_toml(), "be3");
        start_on(lab, &fewer)?;
        stop(lab, &["--keep"])?;
        lab.start_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        assert!(report.answered.contains_key("be3"), "{report}");
        stop(lab, &["--keep"])?;
        start_on(lab, &fewer)?;
        let attached = observe::xdp_attachments(lab.balancer())?;
        assert_eq!(attached["be3"], observe::XdpAttachment::None);
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!((report.failed, report.answered.get("be3")), (0, None), "{report}");
        Ok(())
    });
}

/// Downloads that trickle, some packets every second, until they are told to hurry; every other one over IPv6.
fn start_transfers(lab: &Lab, count: u64) -> Result<Vec<SlowTransfer>> {
    let start = |number: u64| {
        let family = Family::ALL[usize::from(number % 2 == 1)];
        let transfer = Transfer {
            target: lab.web(family),
            direction: Direction::Download,
            size: 20_000_000,
            seed: number % 2,
        };
        transfer.start_slowly(lab.client(), TRICKLE)
    };
    (0..count).map(start).collect()
}

fn assert_all_intact(transfers: Vec<SlowTransfer>) -> Result<()> {
    transfers.iter().for_each(SlowTransfer::hurry);
    for transfer in transfers {
        let report = transfer.wait()?;
        assert!(report.is_intact(), "{report:?}");
    }
    Ok(())
}

/// No daemon for a while, in which old and new flows go on all the same.
fn be_absent(lab: &Lab) -> Result<()> {
    let end = Instant::now() + ABSENCE;
    wait_for("requests without a daemon", 3 * ABSENCE, || {
        let report = Requests::new(lab.web(Family::V4), 20).run(lab.client())?;
        ensure!(report.failed == 0, "without a daemon: {report}");
        Ok((Instant::now() >= end).then_some(()))
    })
    .map(drop)
}

/// The flow list holds what the client's kernel has for established.
fn assert_all_listed(lab: &Lab) -> Result<()> {
    for family in Family::ALL {
        let web = lab.web(family);
        let connections = observe::connections_to(lab.client(), web)?;
        let (total, flows) = lab.daemon()?.flows()?;
        assert_eq!(total, flows.len() as u64);
        let of_web = |flow: &&Flow| flow.virtual_address == web && flow.protocol == "tcp";
        let live = |flow: &&Flow| flow.state == FlowState::Established;
        let listed: BTreeSet<SocketAddr> = flows
            .iter()
            .filter(of_web)
            .filter(live)
            .map(|flow| flow.client)
            .collect();
        let missing: Vec<_> = connections.difference(&listed).collect();
        assert!(
            missing.is_empty(),
            "{} of {}: {missing:?}",
            missing.len(),
            connections.len()
        );
        assert!(connections.len() >= 100, "{family:?}: {}", connections.len());
        for flow in flows.iter().filter(of_web).filter(live) {
            let service = if family == Family::V4 { "web" } else { "web6" };
            assert_eq!(flow.service.as_deref(), Some(service), "{flow:?}");
            assert!(lab.backend_names().contains(&flow.backend), "{flow:?}");
        }
    }
    Ok(())
}

/// Frames that anybody's interface dropped.
fn dropped_frames(lab: &Lab) -> Result<u64> {
    let backends = (1..=3).map(Role::Backend);
    let roles = [Role::Client, Role::Balancer].into_iter().chain(backends);
    let namespaces = roles.filter_map(|role| lab.namespace(role));
    namespaces.map(observe::dropped_frames).sum()
}

/// `ballast stop` with a daemon running; what it says.
fn stop(lab: &mut Lab, arguments: &[&str]) -> Result<String> {
    let ended = command_stop(lab, arguments)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    lab.wait_for_daemon_end()?;
    Ok(ended.stdout)
}

fn command_stop(lab: &Lab, arguments: &[&str]) -> Result<Ended> {
    let mut command = lab.ballast()?;
    command
        .arg("stop")
        .args(arguments)
        .arg("--socket")
        .arg(lab.config().socket());
    Ended::of(&mut command)
}

/// The line in which `ballast run` refuses a configuration, after what it may have logged.
fn refusal(lab: &Lab, config: &str) -> Result<String> {
    let file = lab.write_config(config)?;
    let ended = Ended::of(
        lab.ballast()?
            .env("BALLAST_LOG", "off")
            .args(["run", "--config"])
            .arg(file),
    )?;
    ended.refusal().map(str::to_owned)
}

fn start_on(lab: &mut Lab, config: &str) -> Result<()> {
    lab.start_daemon_on(config).map(drop)
}

/// The file without that backend, in any service.
fn without_backend(config: &str, name: &str) -> String {
    let mark = "[[service.backend]]";
    let mut parts = config.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    let named = format!("\nname = \"{name}\"\n");
    parts.fold(first, |text, part| {
        if !part.starts_with(&named) {
            return text + mark + part;
        }
        // What follows the backend's own two lines is the next service.
        let rest = part.trim_start().splitn(3, '\n').nth(2).unwrap_or_default();
        text + rest
    })
}
