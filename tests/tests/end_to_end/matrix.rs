//! The matrix: every mode, family, protocol and scheduler, with what senders leave to their NIC and without. Backends are
//! set up as README says.
//!
//! All modes whose answers pass the balancer are told in one lab, all others in another, each with a service for every
//! combination.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Builder, CheckTimes, Family, Lab, Mode, Service, Wiring,
    load::{Echo, Requests, Transfer},
};
use lb_user::config::types::{Protocol, Scheduler};

use crate::story::{usual, with_daemon};

/// Modes whose answers pass the balancer.
pub(crate) const ANSWERED_THROUGH: [Mode; 2] = [Mode::FullNat, Mode::Nat];

/// Modes in which backends answer their clients.
const ANSWERED_DIRECTLY: [Mode; 5] = [
    Mode::Dsr,
    tunnel(Family::V4, false),
    tunnel(Family::V6, false),
    tunnel(Family::V4, true),
    tunnel(Family::V6, true),
];

/// Bytes of each transfer.
const SIZE: u64 = 1_000_000;

/// Connections to each service, besides transfers; and flows over UDP. A multiple of the backends.
const REQUESTS: u64 = 24;
const FLOWS: u16 = 12;
const DATAGRAMS: u16 = 25;

/// Ports of the services, and of their backends where ports are translated.
const SERVICE_PORTS: u16 = 2000;
const BACKEND_PORTS: u16 = 12_000;

#[test]
fn all_is_served_through_the_balancer_with_offloads() {
    all_is_served(&ANSWERED_THROUGH, two_armed().checksum_offload(true));
}

#[test]
fn all_is_served_through_the_balancer_without_offloads() {
    all_is_served(&ANSWERED_THROUGH, two_armed().checksum_offload(false));
}

#[test]
fn all_is_served_by_backends_that_answer_directly_with_offloads() {
    all_is_served(&ANSWERED_DIRECTLY, one_armed().checksum_offload(true));
}

#[test]
fn all_is_served_by_backends_that_answer_directly_without_offloads() {
    all_is_served(&ANSWERED_DIRECTLY, one_armed().checksum_offload(false));
}

pub(crate) const fn tunnel(outer: Family, gue: bool) -> Mode {
    Mode::Tunnel { outer, gue }
}

/// The balancer's own links to its backends, which answer by their default route.
pub(crate) fn two_armed() -> Builder {
    usual().wiring(Wiring::TwoArmed).check(CheckTimes::ONCE)
}

/// Backends on the client's link, which answer it directly.
pub(crate) fn one_armed() -> Builder {
    usual().wiring(Wiring::OneArmed).check(CheckTimes::ONCE)
}

/// One service for every combination with these modes.
fn combinations(modes: &[Mode]) -> Vec<Service> {
    let numbered = modes
        .iter()
        .flat_map(|mode| Scheduler::ALL.iter().map(move |scheduler| (*mode, *scheduler)));
    let services = (0..).zip(numbered).flat_map(|(number, (mode, scheduler))| {
        Family::ALL.into_iter().flat_map(move |family| {
            Protocol::ALL.iter().map(move |protocol| Service {
                name: format!("{mode}.{family:?}.{}.{}", protocol.as_str(), scheduler.as_str()),
                protocol: *protocol,
                family,
                port: SERVICE_PORTS + number,
                backend_port: BACKEND_PORTS + number,
                mode,
                scheduler,
            })
        })
    });
    services.collect()
}

fn all_is_served(modes: &[Mode], builder: Builder) {
    let services = combinations(modes);
    with_daemon(builder.services(services.clone()), |lab| {
        for service in &services {
            let served = match service.protocol {
                Protocol::Tcp => serves_connections(lab, service),
                Protocol::Udp => serves_datagrams(lab, service),
            };
            served.with_context(|| service.name.clone())?;
        }
        let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
        println!("{} combinations: {}", services.len(), names.join(" "));
        flows_are_listed(lab, &services)
    });
}

/// Short connections, and transfers both ways that must arrive as they were sent.
fn serves_connections(lab: &Lab, service: &Service) -> Result<()> {
    let report = Requests::new(service.address(), REQUESTS).run(lab.client())?;
    ensure!(report.failed == 0, "{report}");
    ensure!(is_spread(service.scheduler, &report.answered), "{report}");
    Transfer::both_ways(service.address(), SIZE, lab.client())
}

/// Datagrams, which must come back as they were sent.
fn serves_datagrams(lab: &Lab, service: &Service) -> Result<()> {
    let echo = Echo {
        target: service.address(),
        flows: FLOWS,
        datagrams: DATAGRAMS,
    };
    let report = echo.run(lab.client())?;
    ensure!(report.lost() == 0, "{report:?}");
    ensure!(is_spread(service.scheduler, &report.flows), "{report:?}");
    Ok(())
}

/// Whether one client's flows went where their scheduler sends them.
fn is_spread(scheduler: Scheduler, flows: &BTreeMap<String, u64>) -> bool {
    match scheduler {
        Scheduler::Source => flows.len() == 1,
        Scheduler::RoundRobin => flows.len() == 3 && flows.values().collect::<BTreeSet<_>>().len() == 1,
        Scheduler::LeastConn => flows.len() == 3,
        // That all go to one is as good as impossible.
        Scheduler::Maglev => flows.len() > 1,
    }
}

/// What the daemon says of the flows that there were: of all services whose flows outlast them, in their mode, and from
/// their clients' own addresses where backends see those.
fn flows_are_listed(lab: &Lab, services: &[Service]) -> Result<()> {
    let (_, flows) = lab.daemon()?.flows()?;
    for service in services {
        let mut of_service = flows
            .iter()
            .filter(|flow| flow.service.as_ref() == Some(&service.name))
            .peekable();
        ensure!(
            service.protocol == Protocol::Udp || of_service.peek().is_some(),
            "no flow of {}",
            service.name
        );
        for flow in of_service {
            let keeps_client = flow.snat_address == flow.client;
            ensure!(
                flow.mode == service.mode.as_str() && keeps_client == (service.mode != Mode::FullNat),
                "{flow:?}"
            );
        }
    }
    Ok(())
}
