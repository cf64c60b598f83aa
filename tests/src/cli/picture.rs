//! What the lab looks like at one moment, as a table or as a line.

use std::{fmt::Write as _, net::SocketAddr, time::Instant};

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table, presets};
use lab::{
    Lab,
    load::{Report, Running},
};
use lb_user::stats::{Packets, Statistics};

/// Looks again and again, and tells what changed in between.
pub(crate) struct Observer {
    load: Running,
    stats_page: SocketAddr,
    last: Report,
    last_time: Instant,
}

impl Observer {
    pub(crate) fn new(load: Running, stats_page: SocketAddr) -> Self {
        let last = load.snapshot();
        Self {
            load,
            stats_page,
            last,
            last_time: Instant::now(),
        }
    }

    /// Where to look from the host.
    pub(crate) fn addresses(&self) -> String {
        let host = self.stats_page;
        format!("stats page  http://{host}/stats\nstats JSON  http://{host}/api/v1/stats")
    }

    /// A picture of the lab now; rates and shares are those since the last picture.
    pub(crate) fn look(&mut self, lab: &Lab) -> Result<Picture> {
        let stats = lab.daemon()?.stats()?;
        let now = self.load.snapshot();
        let seconds = self.last_time.elapsed().as_secs_f64();
        self.last_time = Instant::now();
        let last = std::mem::replace(&mut self.last, now);
        let since = |backend: &str| count(&self.last, backend) - count(&last, backend);
        let total = self.last.total_answered() - last.total_answered();
        let backends = lab
            .backends()
            .iter()
            .map(|backend| {
                BackendRow::new(
                    backend.name(),
                    backend.is_running(),
                    since(backend.name()),
                    &stats,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Picture {
            addresses: self.addresses(),
            dataplane: stats.dataplane,
            packets: stats.packets,
            backends,
            total,
            seconds,
            report: self.last.clone(),
        })
    }
}

/// The lab at one moment.
pub(crate) struct Picture {
    addresses: String,
    dataplane: String,
    packets: Packets,
    backends: Vec<BackendRow>,
    total: u64,
    seconds: f64,
    report: Report,
}

struct BackendRow {
    name: String,
    address: SocketAddr,
    process: &'static str,
    state: String,
    check: String,
    answered: u64,
}

impl BackendRow {
    fn new(name: &str, is_running: bool, answered: u64, stats: &Statistics) -> Result<Self> {
        let mut backends = stats.services.iter().flat_map(|service| &service.backends);
        let backend = backends.find(|backend| backend.name == name);
        let backend = backend.with_context(|| format!("the daemon does not know {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            address: backend.address,
            process: if is_running { "running" } else { "killed" },
            state: backend.state.clone(),
            check: backend.check.detail.clone(),
            answered,
        })
    }
}

impl Picture {
    /// For a terminal.
    pub(crate) fn to_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "",
            "backend",
            "address",
            "process",
            "state",
            "last check",
            "requests/s",
            "share",
        ]);
        for (index, row) in self.backends.iter().enumerate() {
            table.add_row([
                (index + 1).to_string(),
                row.name.clone(),
                row.address.to_string(),
                row.process.to_owned(),
                row.state.clone(),
                row.check.clone(),
                format!("{:.0}", self.rate(row.answered)),
                format!("{:.1} %", self.share(row.answered)),
            ]);
        }
        for column in [6, 7] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!(
            "Ballast lab, dataplane {}\n{}\n\n{table}\n{}\n{}\n\n1 2 3 kill or start a backend · q quit\n",
            self.dataplane,
            self.addresses,
            self.load_line(),
            self.packets_line(),
        )
    }

    /// For a log.
    pub(crate) fn to_line(&self) -> String {
        let mut line = String::new();
        for row in &self.backends {
            // Writing to a string cannot fail.
            let _ = write!(
                line,
                "{} {} {:.0} % · ",
                row.name,
                row.state,
                self.share(row.answered)
            );
        }
        line + &self.load_line() + " · " + &self.packets_line()
    }

    fn load_line(&self) -> String {
        format!(
            "{:.0} requests/s, p50 {:.1?}, p99 {:.1?}, {} answered, {} failed",
            self.rate(self.total),
            self.report.latency(50.0),
            self.report.latency(99.0),
            self.report.total_answered(),
            self.report.failed
        )
    }

    fn packets_line(&self) -> String {
        let verdicts = &self.packets.verdicts;
        let mut line = format!(
            "packets: {} pass, {} tx, {} redirect, {} drop",
            verdicts.pass, verdicts.tx, verdicts.redirect, verdicts.drop
        );
        for (reason, count) in self.packets.reasons.iter().filter(|&(_, &count)| count > 0) {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {reason} {count}");
        }
        line
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    fn share(&self, count: u64) -> f64 {
        100.0 * count as f64 / self.total.max(1) as f64
    }
}

fn count(report: &Report, backend: &str) -> u64 {
    report.answered.get(backend).copied().unwrap_or(0)
}
