//! A daemon that takes over with another configuration than the one before.

use anyhow::Result;
use lab::{CheckTimes, Family, Lab, load::Requests, observe};

use super::{stop::stop, transfers};
use crate::story::{in_lab, outlives_its_daemon, usual, with_daemon_that_leaves_a_packet_path};

#[test]
fn flows_of_a_backend_that_is_configured_no_more_go_on_to_their_end() {
    // A check that comes too late, on a machine that the transfers keep busy, would end them.
    with_daemon_that_leaves_a_packet_path(usual().check(CheckTimes::ONCE), |lab| {
        // So many that one or more of them are on each backend, by any hash.
        let transfers = transfers::start(lab, 32)?;
        stop(lab, &["--keep"])?;
        // be1 is configured no more, and the others move up in the file.
        let without_be1 = without_backend(&lab.config().to_toml(), "be1");
        start_on(lab, &without_be1)?;
        let (_, flows) = lab.daemon()?.flows()?;
        let of_be1 = transfers
            .iter()
            .filter(|transfer| transfer.backend == "be1")
            .count();
        assert!(of_be1 > 0, "none of the transfers is on be1");
        let without_service: Vec<_> = flows.iter().filter(|flow| flow.service.is_none()).collect();
        assert_eq!(without_service.len(), of_be1, "{without_service:#?}");
        for flow in without_service {
            let be1 = Family::ALL.map(|family| lab.direct(1, family));
            assert!(be1.contains(&flow.backend_address), "{flow:?}");
            assert_eq!(flow.backend, flow.backend_address.to_string());
        }
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!((report.failed, report.answered.get("be1")), (0, None), "{report}");
        transfers::assert_all_intact(transfers)
    });
}

#[test]
fn interfaces_may_change_from_one_daemon_to_the_next() {
    if !outlives_its_daemon() {
        return;
    }
    in_lab(usual(), |lab| {
        let mut config = lab.config();
        config.interfaces.retain(|interface| interface != "be3");
        let fewer = without_backend(&config.to_toml(), "be3");
        start_on(lab, &fewer)?;
        stop(lab, &["--keep"])?;
        lab.start_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        assert!(report.answered.contains_key("be3"), "{report}");
        stop(lab, &["--keep"])?;
        start_on(lab, &fewer)?;
        let attached = observe::xdp_attachments(lab.balancer())?;
        assert_eq!(attached["be3"], observe::XdpAttachment::None);
        let report = Requests::new(lab.web(Family::V4), 600).run(lab.client())?;
        assert_eq!((report.failed, report.answered.get("be3")), (0, None), "{report}");
        Ok(())
    });
}

fn start_on(lab: &mut Lab, config: &str) -> Result<()> {
    lab.start_daemon_on(config).map(drop)
}

/// The file without that backend, in any service.
fn without_backend(config: &str, name: &str) -> String {
    let mark = "[[service.backend]]";
    let mut parts = config.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    let named = format!("\nname = \"{name}\"\n");
    parts.fold(first, |text, part| {
        if !part.starts_with(&named) {
            return text + mark + part;
        }
        // What follows the backend's own two lines is the next service.
        let rest = part.trim_start().splitn(3, '\n').nth(2).unwrap_or_default();
        text + rest
    })
}
