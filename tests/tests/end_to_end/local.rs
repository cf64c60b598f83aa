//! Backends on the balancer's own host, and clients there.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use lab::{
    BACKEND_PORT, Builder, Family, Lab, Role,
    backend::Process,
    load::{Direction, Echo, Requests, Transfer},
};

use crate::story::{TELLING, TOLERATED_UNEVENNESS, in_lab, usual};

/// The name of the backend that runs on the balancer's host, in the place of be3.
const HOME: &str = "home";

/// Bytes of each transfer.
const SIZE: u64 = 20_000_000;

/// A client's address that is behind a router: the client's own namespace is that.
const FAR: [(Family, &str, &str); 2] = [
    (Family::V4, "198.51.100.7", "32"),
    (Family::V6, "2001:db8:7::7", "128"),
];

#[test]
fn a_backend_on_the_balancers_host_serves_with_the_others() {
    with_home(usual(), All, |lab| {
        let names = ["be1", "be2", HOME].map(str::to_owned);
        for from in [lab.client(), lab.balancer()] {
            for family in Family::ALL {
                let report = Requests::new(lab.web(family), TELLING).run(from)?;
                assert_eq!(report.failed, 0, "{family:?}: {report}");
                let unevenness = report.unevenness(&names);
                assert!(unevenness <= TOLERATED_UNEVENNESS, "{family:?}: {report}");
            }
        }
        for family in Family::ALL {
            let echo = Echo {
                target: lab.echo(family),
                flows: 40,
                datagrams: 50,
            };
            let report = echo.run(lab.client())?;
            assert_eq!(report.lost(), 0, "{family:?}: {report:?}");
            assert_eq!(report.flows.len(), 3, "{family:?}: {report:?}");
        }
        let packets = lab.daemon()?.stats()?.packets;
        assert!(packets.reasons["local"] > 0, "{packets:?}");
        Ok(())
    });
}

#[test]
fn transfers_with_a_backend_on_the_balancers_host_are_intact_with_checksum_offload() {
    transfers_are_intact(usual().checksum_offload(true));
}

#[test]
fn transfers_with_a_backend_on_the_balancers_host_are_intact_without_checksum_offload() {
    transfers_are_intact(usual().checksum_offload(false));
}

fn transfers_are_intact(builder: Builder) {
    with_home(builder, Only, |lab| {
        for from in [lab.client(), lab.balancer()] {
            for family in Family::ALL {
                Transfer::both_ways(lab.web(family), SIZE, from)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_client_behind_a_router_is_served_by_the_balancers_host() {
    with_home(usual(), Only, |lab| {
        for (family, address, length) in FAR {
            // An IPv6 address is no source before its duplicates have been looked for.
            let usable = if family == Family::V6 { " nodad" } else { "" };
            let router = lab.config().wiring.address(Role::Client, family);
            let balancer = lab.config().wiring.balancer_address(Role::Client, family);
            lab.client().ip_batch(&format!(
                "address add {address}/{length} dev lo{usable}\nroute replace default via {balancer} src {address}\n"
            ))?;
            lab.balancer()
                .ip_batch(&format!("route add {address}/{length} via {router}\n"))?;
            Transfer::both_ways(lab.web(family), SIZE, lab.client())?;
            let report = Requests::new(lab.web(family), 300).run(lab.client())?;
            assert_eq!(report.failed, 0, "{family:?}: {report}");
        }
        let flows = lab.daemon()?.flows()?.1;
        let far = FAR.map(|(_, address, _)| address.parse::<IpAddr>().expect("an address"));
        let all_far = flows.iter().filter(|flow| flow.protocol == "tcp");
        assert!(all_far.clone().count() > 0);
        assert!(
            all_far.clone().all(|flow| far.contains(&flow.client.ip())),
            "{flows:?}"
        );
        Ok(())
    });
}

#[test]
fn the_balancers_host_is_served_without_having_the_virtual_address() {
    with_home(usual(), All, |lab| {
        for (family, length) in [(Family::V4, 32), (Family::V6, 128)] {
            let line = format!("address del {}/{length} dev lo\n", family.vip());
            lab.balancer().ip_batch(&line)?;
            for from in [lab.client(), lab.balancer()] {
                let report = Requests::new(lab.web(family), 600).run(from)?;
                assert_eq!(report.failed, 0, "{family:?}: {report}");
                assert_eq!(report.answered.len(), 3, "{family:?}: {report}");
            }
        }
        Ok(())
    });
}

#[test]
fn what_the_balancers_host_serves_goes_on_without_the_daemon_and_with_the_next() {
    with_home(usual(), Only, |lab| {
        let slow = |family| {
            let transfer = Transfer {
                target: lab.web(family),
                direction: Direction::Download,
                size: SIZE,
                seed: 5,
            };
            transfer.start_slowly(lab.client(), TRICKLE)
        };
        let transfers = Family::ALL.map(slow).into_iter().collect::<Result<Vec<_>>>()?;
        lab.kill_daemon()?;
        all_are_served(lab)?;
        lab.start_daemon_on(&config(lab, Only))?;
        all_are_served(lab)?;
        for transfer in transfers {
            assert!(!transfer.is_finished(), "it ended before it could prove anything");
            transfer.hurry();
            let report = transfer.wait()?;
            assert!(report.is_intact(), "{report:?}");
        }
        lab.stop_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 1).run(lab.balancer())?;
        assert_eq!(report.failed, 1, "a stopped daemon leaves nothing: {report}");
        Ok(())
    });
}

/// For how long a transfer trickles that is to be under way meanwhile.
const TRICKLE: Duration = Duration::from_secs(100);

fn all_are_served(lab: &Lab) -> Result<()> {
    for from in [lab.client(), lab.balancer()] {
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), 100).run(from)?;
            assert_eq!(report.failed, 0, "{family:?}: {report}");
        }
    }
    Ok(())
}

/// Which backends there are.
#[derive(Debug, Clone, Copy)]
enum Backends {
    /// Two elsewhere and the one at home.
    All,
    /// The one at home.
    Only,
}
use Backends::{All, Only};

/// Tells a story in a lab whose third backend runs on the balancer's host.
fn with_home(builder: Builder, backends: Backends, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    in_lab(builder, |lab| {
        let addresses = Family::ALL.map(|family| home(lab, family));
        let _home = Process::start(HOME, lab.balancer().clone(), addresses.to_vec())?;
        lab.start_daemon_on(&config(lab, backends))?;
        tell(lab)
    });
}

/// An address of the balancer's on another network than the client's.
fn home(lab: &Lab, family: Family) -> SocketAddr {
    let address = lab.config().wiring.balancer_address(Role::Backend(3), family);
    SocketAddr::new(address, BACKEND_PORT)
}

fn config(lab: &Lab, backends: Backends) -> String {
    let mut config = lab.config().to_toml();
    for family in Family::ALL {
        let backend = |name: &str, address: SocketAddr| {
            format!("[[service.backend]]\nname = \"{name}\"\naddress = \"{address}\"\n")
        };
        let third = backend("be3", lab.direct(3, family));
        config = config.replace(&third, &backend(HOME, home(lab, family)));
        if let Only = backends {
            for number in [1, 2] {
                config = config.replace(&backend(&format!("be{number}"), lab.direct(number, family)), "");
            }
        }
    }
    config
}
