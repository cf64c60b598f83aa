//! `ballast stop`, with and without `--keep`.

use anyhow::{Result, ensure};
use lab::{Family, Lab, load::Requests};

use crate::{
    lifecycle::assert_nothing_remains,
    story::{Ended, usual, with_daemon_that_leaves_a_packet_path},
};

#[test]
fn stop_leaves_nothing_and_stop_keep_leaves_all() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        assert!(stop(lab, &["--keep"])?.contains("still forwarded"));
        assert!(!lab.config().socket().exists());
        for family in Family::ALL {
            let report = Requests::new(lab.web(family), 300).run(lab.client())?;
            assert_eq!(report.failed, 0, "{report}");
        }
        let said = command_stop(lab, &["--keep"])?;
        assert!(said.stdout.contains("goes on"), "{said:?}");
        let said = command_stop(lab, &[])?;
        assert!(said.stdout.contains("detached"), "{said:?}");
        assert_nothing_remains(lab)?;
        let said = command_stop(lab, &[])?;
        assert!(said.refusal()?.starts_with("nothing to stop"), "{said:?}");

        lab.start_daemon()?;
        assert!(stop(lab, &[])?.contains("detached from"));
        assert_nothing_remains(lab)
    });
}

/// `ballast stop` with a daemon running; what it says.
pub(super) fn stop(lab: &mut Lab, arguments: &[&str]) -> Result<String> {
    let ended = command_stop(lab, arguments)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    lab.wait_for_daemon_end()?;
    Ok(ended.stdout)
}

pub(super) fn command_stop(lab: &Lab, arguments: &[&str]) -> Result<Ended> {
    let mut command = lab.ballast()?;
    command
        .arg("stop")
        .args(arguments)
        .arg("--socket")
        .arg(lab.config().socket());
    Ended::of(&mut command)
}
