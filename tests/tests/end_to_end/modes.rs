//! Every forwarding mode, with backends that are set up as README says.

use std::collections::BTreeSet;

use lab::{
    Builder, Family, Lab, Mode, Wiring,
    load::{Direction, Echo, Requests, Transfer},
};

use crate::story::{TOLERATED_UNEVENNESS, usual, with_daemon};

const SIZE: u64 = 50_000_000;

#[test]
fn nat_keeps_the_clients_address() {
    serves(usual().mode(Mode::Nat));
}

#[test]
fn nat_works_without_checksum_offload() {
    serves(usual().mode(Mode::Nat).checksum_offload(false));
}

#[test]
fn dsr_lets_backends_answer_their_clients() {
    serves(usual().mode(Mode::Dsr).wiring(Wiring::OneArmed));
}

#[test]
fn dsr_works_without_checksum_offload() {
    let lab = usual().mode(Mode::Dsr).wiring(Wiring::OneArmed);
    serves(lab.checksum_offload(false));
}

#[test]
fn v4_backends_serve_both_families_through_ip_in_ip() {
    serves(tunnel(Family::V4, false));
}

#[test]
fn v6_backends_serve_both_families_through_ip_in_ip() {
    serves(tunnel(Family::V6, false));
}

#[test]
fn v4_backends_serve_both_families_through_gue() {
    serves(tunnel(Family::V4, true));
}

#[test]
fn v6_backends_serve_both_families_through_gue() {
    serves(tunnel(Family::V6, true));
}

#[test]
fn tunnels_work_without_checksum_offload() {
    serves(tunnel(Family::V4, false).checksum_offload(false));
}

/// Backends on the client's link, which answer it directly.
fn tunnel(outer: Family, gue: bool) -> Builder {
    usual().mode(Mode::Tunnel { outer, gue }).wiring(Wiring::OneArmed)
}

/// Requests, transfers both ways and datagrams, all of which the backends get from their clients' own addresses.
fn serves(builder: Builder) {
    with_daemon(builder, |lab| {
        for family in Family::ALL {
            requests_are_answered(lab, family)?;
            for direction in [Direction::Download, Direction::Upload] {
                let transfer = Transfer {
                    target: lab.web(family),
                    direction,
                    size: SIZE,
                    seed: 3,
                };
                let report = transfer.run(lab.client())?;
                assert!(report.is_intact(), "{family:?} {direction:?}: {report:?}");
            }
            let report = Echo {
                target: lab.echo(family),
                flows: 40,
                datagrams: 50,
            }
            .run(lab.client())?;
            assert_eq!(report.lost(), 0, "{family:?}: {report:?}");
            assert_eq!(report.flows.len(), 3, "{family:?}: {report:?}");
        }
        flows_are_listed(lab)
    });
}

fn requests_are_answered(lab: &Lab, family: Family) -> anyhow::Result<()> {
    let report = Requests::new(lab.web(family), 3_000).run(lab.client())?;
    assert_eq!(report.failed, 0, "{family:?}: {report}");
    assert!(
        report.unevenness(&lab.backend_names()) <= TOLERATED_UNEVENNESS,
        "{report}"
    );
    Ok(())
}

/// What the daemon says of the flows that there were.
fn flows_are_listed(lab: &Lab) -> anyhow::Result<()> {
    let (total, flows) = lab.daemon()?.flows()?;
    assert!(total >= 6_000, "{total} flows");
    let mode = lab.config().mode.as_str();
    let backends: BTreeSet<_> = flows
        .iter()
        .map(|flow| {
            assert_eq!(flow.mode, mode);
            assert_eq!(flow.snat_address, flow.client, "backends see their clients");
            flow.backend_address
        })
        .collect();
    let daemon = lab.daemon()?.stats()?;
    let configured = daemon.services.iter().flat_map(|service| &service.backends);
    let configured: BTreeSet<_> = configured.map(|backend| backend.address).collect();
    assert_eq!(backends, configured);
    Ok(())
}
