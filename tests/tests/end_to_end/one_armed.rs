//! A balancer with one NIC: packets leave by the interface they came in by.

use lab::{
    Builder, Family, Wiring,
    load::{Direction, Echo, Requests, Transfer},
};

use crate::story::{TOLERATED_UNEVENNESS, usual, with_daemon};

#[test]
fn one_nic_is_enough_for_requests() {
    with_daemon(one_armed(), |lab| {
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), 3_000).run(lab.client())?;
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
            for direction in [Direction::Download, Direction::Upload] {
                let transfer = Transfer {
                    target: lab.web(family),
                    direction,
                    size: 20_000_000,
                    seed: 2,
                };
                assert!(
                    transfer.run(lab.client())?.is_intact(),
                    "{family:?} {direction:?}"
                );
            }
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
