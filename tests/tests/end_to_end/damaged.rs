//! Services that refuse damaged packets, with whole ones of real stacks beside them.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use lab::{
    CheckTimes, Family, Lab, Role,
    load::{Damaged, Direction, Echo, Requests, Transfer},
    wait_for,
};
use lb_common::Reason;
use nix::sys::socket::SockProtocol;

use crate::{
    choosing::reason,
    story::{in_lab, usual},
};

/// For anything that a healthy lab does at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Damaged packets of each family and protocol.
const COUNT: u64 = 50;

#[test]
fn damaged_packets_are_refused_and_whole_ones_arrive() {
    // Whose sums their hosts leave to a NIC, and whose they finish.
    for builder in [usual(), usual().checksum_offload(false)] {
        in_lab(builder.check(CheckTimes::ONCE), only_damaged_packets_are_refused);
    }
}

fn only_damaged_packets_are_refused(lab: &mut Lab) -> Result<()> {
    lab.start_daemon_on(&verifying(lab))?;
    let mut sent = 0;
    for family in Family::ALL {
        let source = SocketAddr::new(lab.config().wiring.address(Role::Client, family), 40_000);
        for (protocol, target) in [
            (SockProtocol::Tcp, lab.web(family)),
            (SockProtocol::Udp, lab.echo(family)),
        ] {
            let damaged = Damaged {
                source,
                target,
                protocol,
                count: COUNT,
            };
            damaged.run(lab.client())?;
            sent += COUNT;
            wait_for("the damaged packets to be refused", PATIENCE, || {
                Ok((reason(lab, Reason::BadChecksum)? >= sent).then_some(()))
            })?;
        }
        whole_ones_arrive(lab, family)?;
    }
    let refused = reason(lab, Reason::BadChecksum)?;
    ensure!(refused == sent, "{refused} packets were refused of {sent}");
    Ok(())
}

fn whole_ones_arrive(lab: &Lab, family: Family) -> Result<()> {
    let report = Requests::new(lab.web(family), 100).run(lab.client())?;
    ensure!(report.failed == 0, "{family:?}: {report}");
    for direction in [Direction::Download, Direction::Upload] {
        let transfer = Transfer {
            target: lab.web(family),
            direction,
            size: 20_000_000,
            seed: 1,
        };
        let report = transfer.run(lab.client())?;
        ensure!(report.is_intact(), "{family:?} {direction:?}: {report:?}");
    }
    let echo = Echo {
        target: lab.echo(family),
        flows: 5,
        datagrams: 100,
    };
    ensure!(
        echo.run(lab.client())?.lost() == 0,
        "{family:?}: datagrams are lost"
    );
    Ok(())
}

/// The lab's configuration, with all its services asking for right checksums.
fn verifying(lab: &Lab) -> String {
    let text = lab.config().to_toml();
    ["protocol = \"tcp\"\n", "protocol = \"udp\"\n"]
        .into_iter()
        .fold(text, |text, line| {
            text.replace(line, &format!("{line}verify_checksums = true\n"))
        })
}
