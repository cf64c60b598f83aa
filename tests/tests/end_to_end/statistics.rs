//! The statistics are what the interface promises, and they are true.

use std::time::Duration;

use anyhow::Result;
use lab::{
    Builder, CheckTimes, Family, Lab, Mode, Wiring,
    load::{Echo, Requests},
    observe, wait_for,
};
use lb_user::stats::Packets;
use serde_json::{Value, json};

use crate::story::{in_lab, usual, with_daemon};

#[test]
fn the_document_has_the_promised_shape() {
    let promised = json!({
        "version": "…", "dataplane": "xdp", "uptime_seconds": 1,
        "packets": {
            "total": 0, "verdicts": { "pass": 0, "tx": 0, "redirect": 0, "drop": 0 }, "reasons": { "no_backend": 0 }
        },
        "services": [{
            "name": "fe", "bind": ["10.0.0.100:9030"], "protocol": "tcp", "mode": "full-nat",
            "scheduler": "maglev", "state": "up", "flows_active": 0, "flows_total": 0,
            "packets_in": 0, "bytes_in": 0, "packets_out": 0, "bytes_out": 0,
            "backends": [{
                "name": "node1", "address": "10.0.0.80:9030", "state": "up", "weight": 100,
                "flows_active": 0, "flows_total": 0,
                "packets_in": 0, "bytes_in": 0, "packets_out": 0, "bytes_out": 0,
                "check": { "status": "ok", "detail": "HTTP 200", "duration_ms": 1, "changed_seconds_ago": 3 }
            }]
        }]
    });
    with_daemon(usual(), |lab| {
        let document = lab.daemon()?.stats_document()?;
        let deviations = deviations("", &promised, &document);
        assert!(deviations.is_empty(), "{deviations:#?}");
        Ok(())
    });
}

#[test]
fn verdicts_add_up_to_the_frames_that_the_interfaces_received() {
    adds_up(usual());
}

#[test]
fn verdicts_add_up_over_one_arm() {
    adds_up(usual().wiring(Wiring::OneArmed));
}

#[test]
fn verdicts_add_up_in_nat() {
    adds_up(usual().mode(Mode::Nat));
}

#[test]
fn verdicts_add_up_in_dsr() {
    adds_up(usual().mode(Mode::Dsr).wiring(Wiring::OneArmed));
}

#[test]
fn verdicts_add_up_in_tunnels() {
    let mode = Mode::Tunnel {
        outer: Family::V4,
        gue: true,
    };
    adds_up(usual().mode(mode).wiring(Wiring::OneArmed));
}

/// Every frame has one verdict, and every flow ends.
fn adds_up(builder: Builder) {
    in_lab(builder.check(CheckTimes::ONCE), |lab| {
        lab.start_daemon_on(&forgetful(lab))?;
        let (packets_before, frames_before) = quiet_moment(lab)?;
        Requests::new(lab.web(Family::V4), 1_000).run(lab.client())?;
        Echo {
            target: lab.echo(Family::V6),
            flows: 10,
            datagrams: 20,
        }
        .run(lab.client())?;
        let (packets, frames) = quiet_moment(lab)?;
        assert_eq!(sum_of_verdicts(&packets), packets.total, "{packets:?}");
        assert_eq!(packets.total - packets_before.total, frames - frames_before);
        no_flow_stays_active(lab)
    });
}

/// The usual configuration, by which flows are forgotten soon.
fn forgetful(lab: &Lab) -> String {
    let scheduler = "scheduler = \"maglev\"\n";
    let soon = format!("{scheduler}idle_timeout = \"2s\"\n");
    lab.config().to_toml().replace(scheduler, &soon)
}

#[test]
fn every_connection_is_a_flow_of_its_backend() {
    with_daemon(usual().check(CheckTimes::ONCE), |lab| {
        let report = Requests::new(lab.web(Family::V4), 900).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        let stats = lab.daemon()?.stats()?;
        let web = stats
            .services
            .iter()
            .find(|service| service.name == "web")
            .expect("the service exists");
        assert_eq!(web.counters.flows_total, 900);
        for backend in &web.backends {
            assert_eq!(
                backend.counters.flows_total, report.answered[&backend.name],
                "{}",
                backend.name
            );
            assert!(
                backend.counters.packets_in > 0 && backend.counters.packets_out > 0,
                "{backend:?}"
            );
        }
        let bytes_in = web
            .backends
            .iter()
            .map(|backend| backend.counters.bytes_in)
            .sum::<u64>();
        assert_eq!(
            bytes_in, web.counters.bytes_in,
            "the service is not the sum of its backends"
        );
        Ok(())
    });
}

/// What the daemon counted and the frames that its interfaces received, at a moment when none was on its way: the
/// kernel's counter stood still while the daemon was asked.
pub(crate) fn quiet_moment(lab: &Lab) -> Result<(Packets, u64)> {
    let interfaces = lab.config().interfaces;
    let moment = wait_for("a moment without packets", Duration::from_secs(20), || {
        let before = observe::received_frames(lab.balancer(), &interfaces)?;
        let packets = lab.daemon()?.stats()?.packets;
        let after = observe::received_frames(lab.balancer(), &interfaces)?;
        Ok((before == after).then_some((packets, after)))
    });
    moment.map(|(found, _)| found)
}

/// Waits until no flow is active.
pub(crate) fn no_flow_stays_active(lab: &Lab) -> Result<()> {
    let waited = wait_for("all flows to be over", Duration::from_mins(1), || {
        let stats = lab.daemon()?.stats()?;
        let active = stats.services.iter().map(|service| service.counters.flows_active);
        Ok((active.sum::<u64>() == 0).then_some(()))
    });
    waited.map(drop)
}

fn sum_of_verdicts(packets: &Packets) -> u64 {
    let verdicts = &packets.verdicts;
    verdicts.pass + verdicts.tx + verdicts.redirect + verdicts.drop
}

/// Where `actual` lacks a promised field or has another type there. More fields than promised are fine; all
/// elements of an array must be like the promised one.
fn deviations(place: &str, promised: &Value, actual: &Value) -> Vec<String> {
    match (promised, actual) {
        (Value::Object(fields), Value::Object(actual)) => fields
            .iter()
            .flat_map(|(name, promised)| match actual.get(name) {
                Some(actual) => deviations(&format!("{place}.{name}"), promised, actual),
                None => vec![format!("{place}.{name} is missing")],
            })
            .collect(),
        (Value::Array(promised), Value::Array(actual)) if !actual.is_empty() => actual
            .iter()
            .enumerate()
            .flat_map(|(index, actual)| deviations(&format!("{place}[{index}]"), &promised[0], actual))
            .collect(),
        (Value::String(_), Value::String(_)) => Vec::new(),
        (Value::Number(_), Value::Number(actual)) if actual.is_u64() => Vec::new(),
        _ => vec![format!("{place} should be like {promised}, but is {actual}")],
    }
}
