//! Downloads that are under way while daemons come and go.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::Result;
use lab::{
    Family, Lab,
    load::{Direction, SlowTransfer, Transfer},
    observe,
};
use lb_user::flows::{Flow, FlowState};

/// Bytes of each: several times what is on its way at once.
const SIZE: u64 = 5_000_000;

/// What a transfer would take if it never hurried: slow enough for two hundred of them to leave the machine
/// to the daemon and its checks.
const TRICKLE: Duration = Duration::from_mins(5);

/// Downloads that trickle, some packets every second, until they are told to hurry; every other one over IPv6.
pub(super) fn start(lab: &Lab, count: u64) -> Result<Vec<SlowTransfer>> {
    let start = |number: u64| {
        let family = Family::ALL[usize::from(number % 2 == 1)];
        let transfer = Transfer {
            target: lab.web(family),
            direction: Direction::Download,
            size: SIZE,
            seed: number % 2,
        };
        transfer.start_slowly(lab.client(), TRICKLE)
    };
    (0..count).map(start).collect()
}

pub(super) fn assert_none_ended(transfers: &[SlowTransfer]) {
    let ended = transfers.iter().filter(|transfer| transfer.is_finished()).count();
    assert_eq!(ended, 0, "transfers ended before they could prove anything");
}

pub(super) fn assert_all_intact(transfers: Vec<SlowTransfer>) -> Result<()> {
    transfers.iter().for_each(SlowTransfer::hurry);
    for transfer in transfers {
        let report = transfer.wait()?;
        assert!(report.is_intact(), "{report:?}");
    }
    Ok(())
}

/// The flow list holds what the client's kernel has for established.
pub(super) fn assert_all_listed(lab: &Lab) -> Result<()> {
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
