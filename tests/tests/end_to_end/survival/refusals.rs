//! What a daemon does not take over: it says why, and the packets go on.

use anyhow::{Result, ensure};
use lab::{DaemonConfig, Family, Lab, load::Requests};

use super::stop::command_stop;
use crate::{
    lifecycle::assert_nothing_remains,
    story::{Ended, usual, with_daemon_that_leaves_a_packet_path},
};

#[test]
fn a_second_daemon_is_refused_whoever_left_the_first_packet_path() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        let socket = lab.config().socket();
        let refused = refusal(lab, &lab.config().to_toml())?;
        ensure!(
            refused.contains("belongs to a daemon that is running"),
            "{refused}"
        );

        let other = lab.config().to_toml().replace("ballast.sock", "other.sock");
        let other = other.replace(DaemonConfig::STATS_ADDRESS, "127.0.0.1:1081");
        let names_the_first = |refused: &str| {
            refused.contains("is served by another ballast")
                && refused.contains(&format!("`ballast stop --socket {}`", socket.display()))
        };
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        lab.kill_daemon()?;
        let refused = refusal(lab, &other)?;
        ensure!(names_the_first(&refused), "{refused}");
        assert_eq!(lab::pinned(lab.directory().identity()).len(), 1, "of the first");
        let report = Requests::new(lab.web(Family::V6), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn a_packet_path_of_another_capacity_is_refused_and_goes_on() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        lab.kill_daemon()?;
        let smaller = lab
            .config()
            .to_toml()
            .replace("max_flows = 32768", "max_flows = 1024");
        let refused = refusal(lab, &smaller)?;
        for word in [
            "cannot adopt",
            "max_flows",
            "32768",
            "1024",
            "ballast stop --socket",
        ] {
            ensure!(refused.contains(word), "no word of {word}: {refused}");
        }
        let other_mode = lab
            .config()
            .to_toml()
            .replace("dataplane = \"xdp\"", "dataplane = \"xdp-generic\"");
        let refused = refusal(lab, &other_mode)?;
        ensure!(refused.contains("runs as xdp and"), "{refused}");
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        command_stop(lab, &[])?;
        assert_nothing_remains(lab)?;
        lab.start_daemon().map(drop)
    });
}

/// The line in which `ballast run` refuses a configuration, after what it may have logged.
fn refusal(lab: &Lab, config: &str) -> Result<String> {
    let file = lab.write_config(config)?;
    let ended = Ended::of(
        lab.ballast()?
            .env("BALLAST_LOG", "off")
            .args(["run", "--config"])
            .arg(file),
    )?;
    ended.refusal().map(str::to_owned)
}
