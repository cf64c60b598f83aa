//! How long a dead backend goes on getting connections: measured, printed, and held to what is promised.

use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Family, Lab, load::Requests, wait_for};

use super::LIMIT;
use crate::story::{in_lab, usual};

const RUNS: usize = 10;
/// Between a backend's end and its kernel's first refusal, and for a busy machine.
const MARGIN: Duration = Duration::from_millis(500);

/// In each run another backend is killed under steady load; the times from that until a connection was last led to it.
fn detection_times(lab: &mut Lab) -> Result<Vec<Duration>> {
    let load = Requests::steady(lab.web(Family::V4)).start(lab.client());
    let mut times = Vec::new();
    for run in 0..RUNS {
        let victim = format!("be{}", 1 + run % 3);
        lab.daemon()?.wait_for_state("web", &victim, "up", LIMIT)?;
        let killed = Instant::now();
        lab.backend(&victim)?.kill()?;
        lab.daemon()?.wait_for_state("web", &victim, "down", LIMIT)?;
        let goal = load.snapshot().requests() + 30;
        wait_for("more requests", LIMIT, || {
            Ok((load.snapshot().requests() >= goal).then_some(()))
        })?;
        let failures = load.snapshot().failures;
        let last = failures.iter().map(|failure| failure.began).max();
        let last = last.filter(|last| *last > killed);
        times.push(last.map_or(Duration::ZERO, |last| last - killed));
        lab.backend(&victim)?.restart()?;
    }
    load.stop()?;
    Ok(times)
}

fn print(what: &str, times: &[Duration], goal: Duration) {
    let milliseconds: Vec<u128> = times.iter().map(Duration::as_millis).collect();
    let worst = times.iter().max().copied().unwrap_or_default();
    println!(
        "{what}: last connection led to a dead backend after {milliseconds:?} ms, at worst {worst:?} (goal {goal:?})"
    );
}

/// The lab's configuration of its services, with other words for all checks.
fn with_check(lab: &Lab, words: &str) -> String {
    let config = lab.config().to_toml();
    let word = |line: &str| {
        !["inter =", "timeout =", "rise =", "fall ="]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let kept: Vec<&str> = config.lines().filter(|line| word(line)).collect();
    kept.join("\n")
        .replace("type = \"http\"", &format!("type = \"http\"\n{words}"))
}

#[test]
fn inter_2s_fall_2_finds_a_dead_backend_in_time() {
    in_lab(usual(), |lab| {
        let (inter, fall, timeout) = (Duration::from_secs(2), 2, Duration::from_secs(1));
        let words = "inter = \"2s\"\nfall = 2\nrise = 1\ntimeout = \"1s\"";
        lab.start_daemon_on(&with_check(lab, words))?;
        let times = detection_times(lab)?;
        let goal = inter * fall + timeout;
        print("inter 2s, fall 2, timeout 1s", &times, goal);
        assert!(times.iter().all(|time| *time <= goal + MARGIN), "{times:?}");
        assert!(
            times.iter().any(|time| !time.is_zero()),
            "nobody met a dead backend"
        );
        Ok(())
    });
}

#[test]
fn observe_finds_a_dead_backend_within_a_second() {
    in_lab(usual(), |lab| {
        let observing = "observe = \"layer4\"\non_error = \"mark-down\"";
        let words = format!(
            "inter = \"2s\"\ndowninter = \"500ms\"\nfastinter = \"500ms\"\nfall = 2\nrise = 1\ntimeout = \"1s\"\n{observing}"
        );
        // Only connections tell.
        let config = with_check(lab, &words);
        let udp = config.find("name = \"echo\"").unwrap_or(config.len());
        let start = config[..udp].rfind("[[service]]").unwrap_or(udp);
        lab.start_daemon_on(&config[..start])?;
        let times = detection_times(lab)?;
        let goal = Duration::from_secs(1);
        print("observe = \"layer4\", 100 connections a second", &times, goal);
        assert!(times.iter().all(|time| *time < goal), "{times:?}");
        assert!(lab.daemon_log()?.contains("connections in a row were not taken"));
        Ok(())
    });
}
