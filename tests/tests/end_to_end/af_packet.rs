//! What is the userspace engine's alone, whichever engine the suite runs with.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{
    Builder, CheckTimes, DaemonConfig, Dataplane, Family, Lab, Mode,
    load::{Echo, Requests},
    observe, wait_for,
};

use crate::{
    lifecycle::assert_nothing_remains,
    story::{Ended, usual, with_daemon},
};

/// For what the kernel does as soon as it comes to it.
const LIMIT: Duration = Duration::from_secs(10);

fn in_userspace() -> Builder {
    usual().dataplane(Dataplane::AfPacket)
}

#[test]
fn the_host_answers_nothing_that_is_forwarded() {
    let once = in_userspace().check(CheckTimes::ONCE);
    with_daemon(once, the_host_answers_nothing_of_a_load);
}

/// A host that forwards would send backends' answers on as they came, too.
#[test]
fn a_router_forwards_nothing_twice() {
    for mode in [Mode::FullNat, Mode::Nat] {
        let router = in_userspace()
            .kernel_forwarding(true)
            .mode(mode)
            .check(CheckTimes::ONCE);
        with_daemon(router, the_host_answers_nothing_of_a_load);
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_and_the_next_one_serves() {
    with_daemon(in_userspace(), |lab| {
        assert_eq!(observe::packet_filters(lab.balancer())?.len(), 4);
        lab.kill_daemon()?;
        wait_for("the kernel to remove the filters", LIMIT, || {
            Ok(observe::packet_filters(lab.balancer())?.is_empty().then_some(()))
        })?;
        lab.start_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        lab.stop_daemon()?;
        assert_nothing_remains(lab)
    });
}

#[test]
fn a_daemon_that_forwards_itself_cannot_leave_a_packet_path() {
    with_daemon(in_userspace(), |lab| {
        let socket = lab.config().socket();
        let ended = Ended::of(lab.ballast()?.args(["stop", "--keep", "--socket"]).arg(&socket))?;
        assert!(
            ended.refusal()?.contains("forwarded by the daemon itself"),
            "{ended:?}"
        );
        let report = Requests::new(lab.web(Family::V6), 300).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn an_interface_has_one_daemon() {
    with_daemon(in_userspace(), |lab| {
        let mine = lab.config().to_toml();
        let other = mine.replace("ballast.sock", "other.sock");
        let other = other.replace(DaemonConfig::STATS_ADDRESS, "127.0.0.1:1081");
        let first = lab.config().socket();
        let names_the_first = |refused: &str| {
            refused.contains("is served by another ballast")
                && refused.contains(&format!("`ballast stop --socket {}`", first.display()))
        };
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        lab.stop_daemon()?;

        let mut kernel = lab.config();
        kernel.dataplane = Dataplane::Xdp;
        lab.start_daemon_on(&kernel.to_toml())?;
        lab.kill_daemon()?;
        let refused = refusal(lab, &mine)?;
        ensure!(refused.contains("the configuration wants af-packet"), "{refused}");
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        Ok(())
    });
}

/// A table has room for a million flows, and takes memory for those that there are.
#[test]
fn tables_take_memory_where_they_are_used() {
    const MOST: f64 = 40.0;
    with_daemon(in_userspace(), |lab| {
        Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        let memory = observe::memory(lab.daemon()?.status()?.pid)?;
        println!("{:.1} MB", memory.own);
        ensure!(memory.own < MOST, "the daemon has {memory:?}, in megabytes");
        Ok(())
    });
}

/// Connections and datagrams of both families: all are answered, and none by the balancer's own stack.
pub(crate) fn the_host_answers_nothing_of_a_load(lab: &mut Lab) -> Result<()> {
    let before = observe::tcp_counters(lab.balancer())?;
    for family in Family::ALL {
        let report = Requests::new(lab.web(family), 1_000).run(lab.client())?;
        assert_eq!(report.failed, 0, "{family:?}: {report}");
        let report = Echo {
            target: lab.echo(family),
            flows: 40,
            datagrams: 50,
        }
        .run(lab.client())?;
        assert_eq!(report.lost(), 0, "{family:?}: {report:?}");
    }
    let after = observe::tcp_counters(lab.balancer())?;
    assert_eq!(after, before, "the balancer's own stack took part");
    let client = observe::tcp_counters(lab.client())?;
    assert_eq!(client.resets_sent, 0, "something came to the client twice");
    let lost = lab.daemon()?.stats()?.packets.lost;
    assert_eq!((lost.truncated, lost.unsent), (0, 0), "{lost:?}");
    Ok(())
}

/// The line in which `ballast run` refuses a configuration.
fn refusal(lab: &Lab, config: &str) -> Result<String> {
    let file = lab.write_config(config)?;
    let mut command = lab.ballast()?;
    command
        .env("BALLAST_LOG", "off")
        .args(["run", "--config"])
        .arg(file);
    Ended::of(&mut command)?.refusal().map(str::to_owned)
}
