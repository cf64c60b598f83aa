//! Bytes arrive as they were sent, whatever the sender's NIC left undone.

use lab::{
    Builder, CheckTimes, Family,
    load::{Direction, Echo, Transfer},
};

use crate::story::{usual, with_daemon};

const SIZE: u64 = 100_000_000;

#[test]
fn transfers_are_intact_with_checksum_offload() {
    transfers_are_intact(usual().checksum_offload(true));
}

#[test]
fn transfers_are_intact_without_checksum_offload() {
    transfers_are_intact(usual().checksum_offload(false));
}

#[test]
fn datagrams_come_back_with_checksum_offload() {
    datagrams_come_back(usual().checksum_offload(true));
}

#[test]
fn datagrams_come_back_without_checksum_offload() {
    datagrams_come_back(usual().checksum_offload(false));
}

fn transfers_are_intact(builder: Builder) {
    // A check that comes too late, on a machine that such a transfer keeps busy, would end it.
    with_daemon(builder.check(CheckTimes::ONCE), |lab| {
        for family in Family::ALL {
            for direction in [Direction::Download, Direction::Upload] {
                let transfer = Transfer {
                    target: lab.web(family),
                    direction,
                    size: SIZE,
                    seed: 1,
                };
                let report = transfer.run(lab.client())?;
                assert!(report.is_intact(), "{family:?} {direction:?}: {report:?}");
            }
        }
        Ok(())
    });
}

fn datagrams_come_back(builder: Builder) {
    with_daemon(builder, |lab| {
        for family in Family::ALL {
            let report = Echo {
                target: lab.echo(family),
                flows: 40,
                datagrams: 50,
            }
            .run(lab.client())?;
            assert_eq!(report.lost(), 0, "{family:?}: {report:?}");
            assert_eq!(
                report.flows.len(),
                3,
                "{family:?}: not all backends took part: {report:?}"
            );
        }
        Ok(())
    });
}
