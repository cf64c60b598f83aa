//! The lab by itself, without Ballast: when one of these fails, the lab is broken and not the balancer.

use std::{fs, path::Path, process::Command};

use lab::{
    Builder, Family, Role, Wiring,
    load::{Direction, Echo, Requests, Transfer},
    observe,
};

use crate::story::in_lab;

#[test]
fn every_backend_answers_with_its_own_name() {
    in_lab(routed(), |lab| {
        for family in Family::ALL {
            for (number, name) in (1..).zip(lab.backend_names()) {
                let report = Requests::new(lab.direct(number, family), 100).run(lab.client())?;
                assert_eq!(
                    (report.failed, report.answered.get(&name)),
                    (0, Some(&100)),
                    "{report}"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_answers_on_the_virtual_addresses_without_ballast() {
    in_lab(routed(), |lab| {
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), 3).run(lab.client())?;
            assert_eq!((report.failed, report.total_answered()), (3, 0), "{report}");
        }
        Ok(())
    });
}

#[test]
fn bytes_arrive_as_they_were_sent() {
    in_lab(routed(), |lab| {
        for (family, direction) in both_ways() {
            let transfer = Transfer {
                target: lab.direct(1, family),
                direction,
                size: 10_000_000,
                seed: 1,
            };
            let report = transfer.run(lab.client())?;
            assert!(report.is_intact(), "{family:?} {direction:?}: {report:?}");
            assert_eq!(report.backend, "be1");
        }
        Ok(())
    });
}

#[test]
fn datagrams_come_back() {
    in_lab(routed(), |lab| {
        for family in Family::ALL {
            let report = Echo {
                target: lab.direct(2, family),
                flows: 10,
                datagrams: 100,
            }
            .run(lab.client())?;
            assert_eq!((report.sent, report.lost()), (1_000, 0));
            assert_eq!(report.flows.get("be2"), Some(&10));
        }
        Ok(())
    });
}

#[test]
fn a_killed_backend_refuses_and_a_restarted_one_answers() {
    in_lab(routed(), |lab| {
        lab.backend("be1")?.kill()?;
        let report = Requests::new(lab.direct(1, Family::V4), 10).run(lab.client())?;
        assert_eq!(report.failed, 10, "{report}");
        assert!(report.failures[0].reason.contains("refused"), "{report}");
        lab.backend("be1")?.restart()?;
        let report = Requests::new(lab.direct(1, Family::V4), 10).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn the_one_armed_lab_has_everybody_on_one_link() {
    in_lab(Builder::new().wiring(Wiring::OneArmed), |lab| {
        for family in Family::ALL {
            let report = Requests::new(lab.direct(3, family), 100).run(lab.client())?;
            assert_eq!(report.answered.get("be3"), Some(&100), "{report}");
        }
        Ok(())
    });
}

#[test]
fn the_switchs_port_to_a_one_armed_balancer_takes_frames_sent_by_xdp() {
    in_lab(Builder::new().wiring(Wiring::OneArmed), |lab| {
        let switch = lab.namespace(Role::Switch).expect("a one-armed lab has a switch");
        let attachments = observe::xdp_attachments(switch)?;
        assert_eq!(attachments["balancer"], observe::XdpAttachment::Native);
        Ok(())
    });
}

#[test]
fn checksum_offload_is_what_was_asked_for() {
    for (asked, shown) in [(true, "on"), (false, "off")] {
        in_lab(Builder::new().checksum_offload(asked), |lab| {
            let output = lab.client().command("ethtool").args(["-k", "eth0"]).output()?;
            let features = String::from_utf8(output.stdout)?;
            assert!(
                features.contains(&format!("tx-checksumming: {shown}")),
                "{features}"
            );
            Ok(())
        });
    }
}

#[test]
fn the_balancer_has_no_xdp_and_no_listener_before_ballast_runs() {
    in_lab(Builder::new(), |lab| {
        let attachments = observe::xdp_attachments(lab.balancer())?;
        assert!(
            attachments
                .values()
                .all(|&attachment| attachment == observe::XdpAttachment::None)
        );
        let listeners = observe::listeners(lab.balancer())?;
        assert!(listeners.is_empty(), "{listeners:?}");
        Ok(())
    });
}

#[test]
fn nothing_of_a_lab_remains() {
    let mut identity = String::new();
    in_lab(Builder::new(), |lab| {
        identity = lab.directory().identity().to_owned();
        assert!(Path::new(lab::RUN_ROOT).join(&identity).exists());
        Ok(())
    });
    assert!(!Path::new(lab::RUN_ROOT).join(&identity).exists());
    assert!(
        !namespaces().iter().any(|name| name.starts_with(&identity)),
        "{:?}",
        namespaces()
    );
}

#[test]
fn what_a_killed_lab_left_behind_is_swept() {
    in_lab(Builder::new(), |_| {
        let mut gone = Command::new("true").spawn()?;
        gone.wait()?;
        let leftover = format!("ballast-{}-1-client", gone.id());
        assert!(
            Command::new("ip")
                .args(["netns", "add", &leftover])
                .status()?
                .success()
        );
        lab::sweep()?;
        assert!(!namespaces().contains(&leftover));
        Ok(())
    });
}

/// A lab in which the kernel routes, so that the client reaches the backends directly.
fn routed() -> Builder {
    Builder::new().kernel_forwarding(true)
}

fn both_ways() -> impl Iterator<Item = (Family, Direction)> {
    Family::ALL
        .into_iter()
        .flat_map(|family| [(family, Direction::Download), (family, Direction::Upload)])
}

fn namespaces() -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
