//! New connections are spread over the backends, in the packet path and nowhere else.

use lab::{
    CheckTimes, Dataplane, Family,
    load::Requests,
    observe::{self, XdpAttachment},
};

use crate::story::{TELLING, TOLERATED_UNEVENNESS, dataplane, usual, with_daemon};

#[test]
fn requests_are_spread_evenly_over_three_backends() {
    with_daemon(usual(), |lab| {
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), TELLING).run(lab.client())?;
            assert_eq!(report.failed, 0, "{report}");
            assert!(
                report.unevenness(&lab.backend_names()) <= TOLERATED_UNEVENNESS,
                "{report}"
            );
        }
        Ok(())
    });
}

#[test]
fn the_balancers_own_stack_sees_nothing_of_the_load() {
    with_daemon(usual().check(CheckTimes::ONCE), |lab| {
        let before = observe::tcp_counters(lab.balancer())?;
        let report = Requests::new(lab.web(Family::V4), 1_000).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        assert_eq!(observe::tcp_counters(lab.balancer())?, before);
        Ok(())
    });
}

#[test]
fn health_checks_are_the_only_connections_of_the_balancer() {
    with_daemon(usual(), |lab| {
        let before = observe::tcp_counters(lab.balancer())?;
        let report = Requests::new(lab.web(Family::V4), 3_000).run(lab.client())?;
        let after = observe::tcp_counters(lab.balancer())?;
        assert_eq!(report.failed, 0, "{report}");
        assert_eq!(after.passive_opens, before.passive_opens);
        // Four services check three backends each; the counters are read a little outside of the load's time.
        let rounds = report.elapsed.as_millis() / CheckTimes::BRISK.inter.as_millis() + 3;
        let opened = u128::from(after.active_opens - before.active_opens);
        assert!(
            (1..=rounds * 12).contains(&opened),
            "{opened} connections in {rounds} rounds of checks"
        );
        Ok(())
    });
}

#[test]
fn every_interface_is_attached_as_asked() {
    let expected = match dataplane() {
        Dataplane::Auto | Dataplane::Xdp => XdpAttachment::Native,
        Dataplane::XdpGeneric => XdpAttachment::Generic,
        Dataplane::AfPacket => XdpAttachment::None,
    };
    with_daemon(usual(), |lab| {
        let attachments = observe::xdp_attachments(lab.balancer())?;
        for interface in lab.config().interfaces {
            assert_eq!(attachments[&interface], expected, "{interface}");
        }
        Ok(())
    });
}
