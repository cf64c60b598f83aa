//! wrk, the load generator.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::site::Site;
use crate::command;

/// A load of requests.
pub(super) struct Wrk<'a> {
    pub(super) url: &'a str,
    pub(super) connections: u32,
    /// Whether each request has a connection of its own.
    pub(super) close: bool,
    pub(super) length: Duration,
}

/// What wrk says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    pub(super) requests: f64,
    pub(super) elapsed: Duration,
    pub(super) bytes: f64,
    /// Milliseconds that half of the requests, 99 and 99.9 of a hundred took at most.
    pub(super) latency: [f64; 3],
    pub(super) failed: u64,
}

/// Prints what [`parse`] reads: wrk itself shows no 99.9th percentile.
const SCRIPT: &str = r#"done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// Makes the load from the client.
pub(super) fn run(site: &Site, wrk: &Wrk<'_>) -> Result<Answer> {
    let script = site.write("wrk.lua", SCRIPT)?;
    let mut command = site.lab.client().command("wrk");
    command
        .args(["--threads", "2", "--timeout", "5s", "--latency"])
        .arg("--connections")
        .arg(wrk.connections.to_string())
        .arg("--duration")
        .arg(format!("{}s", wrk.length.as_secs()))
        .arg("--script")
        .arg(script);
    if wrk.close {
        command.args(["--header", "Connection: close"]);
    }
    let output = command::output(command.arg(wrk.url))?;
    parse(&output).with_context(|| format!("cannot understand what wrk prints: {output}"))
}

fn parse(output: &str) -> Option<Answer> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let figures: Option<Vec<f64>> = line.split(' ').map(|figure| figure.parse().ok()).collect();
    let [requests, microseconds, bytes, p50, p99, p999, _] = figures?.try_into().ok()?;
    Some(Answer {
        requests,
        elapsed: Duration::from_secs_f64(microseconds / 1e6),
        bytes,
        latency: [p50, p99, p999].map(|microseconds| microseconds / 1e3),
        failed: line.rsplit(' ').next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_script_prints() {
        let answer = parse("Running 1s test\nRESULT 10 2000000 30 1000 2000 3500 4\n");
        assert_eq!(
            answer,
            Some(Answer {
                requests: 10.0,
                elapsed: Duration::from_secs(2),
                bytes: 30.0,
                latency: [1.0, 2.0, 3.5],
                failed: 4
            })
        );
        assert_eq!(parse("unable to connect"), None);
    }
}
