//! A daemon of another build takes over, and its program with it, while packets are on their way.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    CheckTimes, Daemon, Family, Lab, Role,
    load::{Echo, RunningEcho},
    observe, wait_for,
};
use lb_user::flows::FlowState;

use super::{absence::be_absent, stop::stop, transfers};
use crate::story::{usual, with_daemon_that_leaves_a_packet_path};

/// UDP flows of each family that look for losses.
const ECHO_FLOWS: u16 = 10;

#[test]
fn two_hundred_transfers_live_through_a_killed_and_a_rebuilt_daemon() {
    // A check that comes too late, on a machine that the transfers keep busy, would end them.
    with_daemon_that_leaves_a_packet_path(usual().check(CheckTimes::ONCE), |lab| {
        ensure_rebuilt(lab)?;
        let transfers = transfers::start(lab, 200)?;
        lab.kill_daemon()?;
        be_absent(lab)?;
        lab.start_daemon()?;
        transfers::assert_all_listed(lab)?;

        let echoes = start_echoes(lab)?;
        let lost = replace(lab, Lab::start_rebuilt_daemon)?;
        transfers::assert_all_listed(lab)?;
        assert_none_lost(echoes)?;
        assert_eq!(lost, 0, "frames were dropped at the replacement");
        transfers::assert_none_ended(&transfers);
        transfers::assert_all_intact(transfers)
    });
}

#[test]
fn no_packet_is_lost_when_the_program_is_replaced_to_and_fro() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        let echoes = start_echoes(lab)?;
        let there = replace(lab, Lab::start_rebuilt_daemon)?;
        let back = replace(lab, Lab::start_daemon)?;
        let there_again = replace(lab, Lab::start_rebuilt_daemon)?;
        assert_none_lost(echoes)?;
        assert_eq!([there, back, there_again], [0; 3], "frames were dropped");
        Ok(())
    });
}

/// The two daemons must not be one and the same file by some slip of the build.
fn ensure_rebuilt(lab: &Lab) -> Result<()> {
    let [usual, rebuilt] = [lab.ballast()?, lab.rebuilt_ballast()?];
    let is_same = fs::read(usual.get_program())? == fs::read(rebuilt.get_program())?;
    ensure!(!is_same, "{rebuilt:?} has the same bytes as {usual:?}");
    Ok(())
}

/// Lets the running daemon go and starts one of another build, whose program must be the one in force then. Returns
/// how many frames any interface dropped meanwhile.
fn replace(lab: &mut Lab, start: fn(&mut Lab) -> Result<&Daemon>) -> Result<u64> {
    let (programs, dropped) = (programs(lab)?, dropped_frames(lab)?);
    stop(lab, &["--keep"])?;
    start(lab)?;
    let replaced = self::programs(lab)?;
    ensure!(
        programs.keys().eq(replaced.keys()),
        "forwarded by {programs:?}, then by {replaced:?}"
    );
    for (interface, program) in &programs {
        let by = &replaced[interface];
        ensure!(
            by.id != program.id && by.tag != program.tag,
            "{interface} has {by:?} after {program:?}"
        );
    }
    let dropped = dropped_frames(lab)? - dropped;
    eprintln!("{programs:?} replaced by {replaced:?}: {dropped} frames dropped by any interface");
    Ok(dropped)
}

/// The programs in force on the balancer, by interface.
fn programs(lab: &Lab) -> Result<BTreeMap<String, observe::XdpProgram>> {
    let programs = observe::xdp_programs(lab.balancer())?;
    ensure!(!programs.is_empty(), "there is no program on any interface");
    Ok(programs)
}

/// Echoes of both families, once all their flows are established.
fn start_echoes(lab: &Lab) -> Result<[RunningEcho; 2]> {
    let echoes = Family::ALL.map(|family| {
        let echo = Echo {
            target: lab.echo(family),
            flows: ECHO_FLOWS,
            datagrams: u16::MAX,
        };
        echo.start(lab.client(), Duration::from_millis(1))
    });
    wait_for("the echoes to be on their way", Duration::from_secs(20), || {
        let (_, flows) = lab.daemon()?.flows()?;
        let established = flows
            .iter()
            .filter(|flow| flow.protocol == "udp" && flow.state == FlowState::Established);
        Ok((established.count() >= 2 * usize::from(ECHO_FLOWS)).then_some(()))
    })?;
    Ok(echoes)
}

fn assert_none_lost(echoes: [RunningEcho; 2]) -> Result<()> {
    for echo in echoes {
        assert!(!echo.is_finished(), "the echoes ended too early");
        let report = echo.stop()?;
        eprintln!("{} of {} datagrams lost", report.lost(), report.sent);
        assert!(report.sent > 1_000, "{report:?}");
        assert_eq!(report.lost(), 0, "{report:?}");
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
