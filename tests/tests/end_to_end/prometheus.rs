//! Prometheus itself reads the metrics.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    DaemonConfig, Family, Lab,
    load::{Requests, block_on},
    wait_for,
};
use serde_json::Value;

use crate::story::{usual, with_daemon};

const LIMIT: Duration = Duration::from_mins(1);

/// Where Prometheus listens, in the balancer's namespace.
const ADDRESS: &str = "127.0.0.1:9090";

#[test]
fn promtool_finds_nothing_to_complain_of() {
    with_daemon(usual(), |lab| {
        Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        let metrics = curl(lab, &format!("http://{}/metrics", DaemonConfig::STATS_ADDRESS))?;
        let mut promtool = lab.balancer().command("promtool");
        let mut promtool = promtool
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start promtool")?;
        let mut input = promtool.stdin.take().context("no standard input")?;
        std::io::Write::write_all(&mut input, metrics.as_bytes())?;
        drop(input);
        let output = promtool.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && said.is_empty(),
            "{}: {said}",
            output.status
        );
        Ok(())
    });
}

#[test]
fn prometheus_scrapes_what_the_statistics_say() {
    with_daemon(usual(), |lab| {
        Requests::new(lab.web(Family::V4), 200).run(lab.client())?;
        let _prometheus = Prometheus::start(lab)?;
        let query = "sum(ballast_backend_flows_total%7Bservice%3D%22web%22%7D)";
        let (value, took) = wait_for("Prometheus to know all flows", LIMIT, || {
            let Ok(answer) = curl(lab, &format!("http://{ADDRESS}/api/v1/query?query={query}")) else {
                return Ok(None);
            };
            let answer: Value = serde_json::from_str(&answer)?;
            let value = answer["data"]["result"][0]["value"][1]
                .as_str()
                .map(str::to_owned);
            Ok(value.filter(|value| value == "200"))
        })?;
        println!("Prometheus knew of {value} flows after {took:?}");
        Ok(())
    });
}

/// A Prometheus that scrapes the daemon each second; ended when dropped.
struct Prometheus(Child);

impl Prometheus {
    fn start(lab: &Lab) -> Result<Self> {
        let directory = lab.directory().path();
        let file = directory.join("prometheus.yml");
        let target = DaemonConfig::STATS_ADDRESS;
        let scrape = format!(
            "scrape_configs:\n- job_name: ballast\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        );
        fs::write(&file, scrape)?;
        let log = fs::File::create(directory.join("prometheus.log"))?;
        let child = lab
            .balancer()
            .command("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start prometheus")?;
        Ok(Self(child))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the balancer's host gets from there.
pub(crate) fn curl(lab: &Lab, url: &str) -> Result<String> {
    let url = url.to_owned();
    lab.balancer()
        .run(|| block_on(async { Ok(reqwest::get(url).await?.error_for_status()?.text().await?) }))
}
