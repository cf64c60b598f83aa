//! The service's own address on backends that answer clients directly.

use anyhow::Result;
use lab::{Builder, Family, Lab, Mode, Wiring};

use super::LIMIT;
use crate::story::{in_lab, usual};

/// The lab's TCP service over IPv4, with checks that ask for its own address too.
fn config(lab: &Lab) -> String {
    let config = lab
        .config()
        .to_toml()
        .replace("type = \"http\"", "type = \"http\"\nvip = true");
    let end = config.find("name = \"web6\"").unwrap_or(config.len());
    let end = config[..end].rfind("[[service]]").unwrap_or(end);
    config[..end].to_owned()
}

/// A backend that loses the service's address goes down, though its own answers, and comes back with it.
fn goes_down_without_it(builder: Builder) {
    in_lab(builder.wiring(Wiring::OneArmed), |lab| {
        let config = config(lab);
        lab.start_daemon_on(&config)?;
        let backend = lab.backends()[1].namespace().clone();
        let address = |verb: &str| -> Result<()> {
            backend.ip_batch(&format!("address {verb} {}/32 dev lo\n", Family::V4.vip()))
        };
        address("del")?;
        let took = lab.daemon()?.wait_for_state("web", "be2", "down", LIMIT)?;
        println!("a backend without the service's address was down after {took:?}");
        let log = lab.daemon_log()?;
        assert!(
            log.contains("from the service's own address") || log.contains("is refused on it"),
            "{log}"
        );
        assert_eq!(lab.daemon()?.backend_state("web", "be1")?, "up");
        address("add")?;
        lab.daemon()?.wait_for_state("web", "be2", "up", LIMIT)?;
        Ok(())
    });
}

#[test]
fn vip_on_a_backend_in_dsr() {
    goes_down_without_it(usual().mode(Mode::Dsr));
}

#[test]
fn vip_on_a_backend_in_tunnels() {
    for gue in [false, true] {
        goes_down_without_it(usual().mode(Mode::Tunnel {
            outer: Family::V4,
            gue,
        }));
    }
}
