//! Starting where it cannot work, stopping, and dying.

use std::{fs, path::PathBuf};

use anyhow::Result;
use lab::{
    Family, Lab,
    load::Requests,
    observe::{self, XdpAttachment},
};

use crate::story::{Ended, in_lab, usual, with_daemon};

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    in_lab(usual(), |lab| run_is_refused_with_fewer_privileges(lab, &nobody));
}

#[test]
fn root_without_capabilities_is_told_what_is_missing() {
    let no_capabilities = ["--bounding-set=-all", "--inh-caps=-all"];
    in_lab(usual(), |lab| {
        run_is_refused_with_fewer_privileges(lab, &no_capabilities)
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    in_lab(usual(), |lab| {
        let mut config = lab.config();
        config.interfaces.push("nosuch0".to_owned());
        let file = lab.write_config(&config.to_toml())?;
        let ended = Ended::of(lab.ballast()?.args(["run", "--config"]).arg(file))?;
        assert!(ended.refusal()?.contains("nosuch0"), "{ended:?}");
        assert_nothing_remains(lab)
    });
}

#[test]
fn ctrl_c_detaches_and_leaves_nothing() {
    with_daemon(usual(), |lab| {
        assert!(lab.config().socket().exists());
        lab.stop_daemon()?;
        assert_nothing_remains(lab)
    });
}

#[test]
fn a_killed_daemon_can_be_started_again() {
    with_daemon(usual(), |lab| {
        lab.kill_daemon()?;
        lab.start_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        lab.stop_daemon()?;
        assert_nothing_remains(lab)
    });
}

fn run_is_refused_with_fewer_privileges(lab: &mut Lab, setpriv_arguments: &[&str]) -> Result<()> {
    let file = lab.write_config(&lab.config().to_toml())?;
    let program = copy_for_everybody(lab)?;
    let mut command = lab.balancer().command("setpriv");
    command
        .args(setpriv_arguments)
        .arg(program)
        .args(["run", "--config"])
        .arg(file);
    let ended = Ended::of(&mut command)?;
    let line = ended.refusal()?;
    assert!(
        line.contains("CAP_") || line.contains("root"),
        "says not what is missing: {line}"
    );
    assert_nothing_remains(lab)
}

/// Whoever gives up privileges may not be let into the directory that the program was built in.
fn copy_for_everybody(lab: &Lab) -> Result<PathBuf> {
    let copy = lab.directory().path().join("ballast");
    fs::copy(lab.ballast()?.get_program(), &copy)?;
    Ok(copy)
}

pub(crate) fn assert_nothing_remains(lab: &Lab) -> Result<()> {
    let attachments = observe::xdp_attachments(lab.balancer())?;
    assert!(
        attachments
            .values()
            .all(|&attachment| attachment == XdpAttachment::None),
        "{attachments:?}"
    );
    let filters = observe::packet_filters(lab.balancer())?;
    assert!(filters.is_empty(), "still filtering: {filters:?}");
    let listeners = observe::listeners(lab.balancer())?;
    assert!(listeners.is_empty(), "still listening: {listeners:?}");
    assert!(
        !lab.config().socket().exists(),
        "the control socket is still there"
    );
    let pinned = lab::pinned(lab.directory().identity());
    assert!(pinned.is_empty(), "still pinned: {pinned:?}");
    Ok(())
}
