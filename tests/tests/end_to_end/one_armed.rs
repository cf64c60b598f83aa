//! A balancer with one NIC: packets leave by the interface they came in by.

use lab::{
    Builder, Family, Wiring,
    load::{Echo, Requests, Transfer},
};

use crate::story::{TELLING, TOLERATED_UNEVENNESS, usual, with_daemon};

#[test]
fn one_nic_is_enough_for_requests() {
    with_daemon(one_armed(), |lab| {
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), TELLING).run(lab.client())?;
            assert_eq!(report.failed, 0, "{report}");
            assert!(
                report.unevenness(&lab.backend_names()) <= TOLERATED_UNEVENNESS,
                "{report}"
            );
        }
        let verdicts = lab.daemon()?.stats()?.packets.verdicts;
        assert!(verdicts.tx > 0 && verdicts.redirect == 0, "{verdicts:?}");
        Ok(())
    });
}

#[test]
fn one_nic_is_enough_for_transfers_and_datagrams() {
    with_daemon(one_armed(), |lab| {
        for family in Family::ALL {
            Transfer::both_ways(lab.web(family), 20_000_000, lab.client())?;
            let report = Echo {
                target: lab.echo(family),
                flows: 20,
                datagrams: 50,
            }
            .run(lab.client())?;
            assert_eq!(report.lost(), 0, "{family:?}: {report:?}");
        }
        Ok(())
    });
}

fn one_armed() -> Builder {
    usual().wiring(Wiring::OneArmed)
}
