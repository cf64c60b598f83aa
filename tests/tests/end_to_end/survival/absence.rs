//! Nobody checks backends and resolves their addresses for a while.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{CheckTimes, Family, Lab, load::Requests, wait_for};

use crate::story::{usual, with_daemon_that_leaves_a_packet_path};

/// For how long: many times the checks' interval, and longer than any TCP retransmission time-out of the lab.
const ABSENCE: Duration = Duration::from_secs(10);

#[test]
fn a_dead_daemons_last_word_on_a_backend_stays_in_force() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        lab.backend("be2")?.kill()?;
        let limit = CheckTimes::BRISK.until_down() + Duration::from_secs(1);
        lab.daemon()?.wait_for_state("web", "be2", "down", limit)?;
        lab.kill_daemon()?;
        let report = Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");

        let load = Requests::endless(lab.web(Family::V4)).start(lab.client());
        lab.backend("be2")?.restart()?;
        lab.start_daemon()?;
        let report = load.stop()?;
        assert_eq!(report.failed, 0, "while the next one started: {report}");
        let log = lab.daemon_log()?;
        assert!(log.contains("nobody has checked its backends"), "{log}");
        Ok(())
    });
}

/// No daemon for a while, in which old and new flows go on all the same.
pub(super) fn be_absent(lab: &Lab) -> Result<()> {
    let end = Instant::now() + ABSENCE;
    wait_for("requests without a daemon", 3 * ABSENCE, || {
        let report = Requests::new(lab.web(Family::V4), 20).run(lab.client())?;
        ensure!(report.failed == 0, "without a daemon: {report}");
        Ok((Instant::now() >= end).then_some(()))
    })
    .map(drop)
}
