//! What a target has to bear.

use std::time::Duration;

use anyhow::Result;

use super::{
    cpu,
    site::{LARGE_FILE, Site},
    target::Target,
    udp,
    wrk::{self, Wrk},
};

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// A connection for each request.
    Short,
    /// Requests on connections that stay.
    KeepAlive,
    /// Large downloads.
    Bulk,
    /// UDP there and back.
    Datagrams,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measurement {
    /// Units done, of those that [`Load::unit`] names.
    pub(super) units: f64,
    /// How long that took.
    pub(super) elapsed: Duration,
    /// CPU time that the machine worked meanwhile.
    pub(super) cpu: Duration,
    /// What half of the requests, 99 and 99.9 of a hundred took at most, in milliseconds.
    pub(super) latency: Option<[f64; 3]>,
    /// Requests or datagrams without an answer.
    pub(super) failed: u64,
}

impl Load {
    pub(super) const ALL: [Self; 4] = [Self::Short, Self::KeepAlive, Self::Bulk, Self::Datagrams];

    /// What is counted.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Short => "connection",
            Self::KeepAlive => "request",
            Self::Bulk => "MB",
            Self::Datagrams => "round trip",
        }
    }

    /// Puts it on a target for about `length`.
    pub(super) fn put_on(self, site: &Site, target: Target, length: Duration) -> Result<Measurement> {
        let before = cpu::busy()?;
        let mut measurement = match self {
            Self::Short => wrk(site, target, length, 64, true)?,
            Self::KeepAlive => wrk(site, target, length, 64, false)?,
            Self::Bulk => bulk(site, target, length)?,
            Self::Datagrams => udp::run(site.lab.client(), Site::echo(target), length)?,
        };
        measurement.cpu = cpu::busy()?.saturating_sub(before);
        Ok(measurement)
    }
}

fn wrk(site: &Site, target: Target, length: Duration, connections: u32, close: bool) -> Result<Measurement> {
    let address = Site::address(target);
    let result = wrk::run(
        site,
        &Wrk {
            url: &format!("http://{address}/"),
            connections,
            close,
            length,
        },
    )?;
    Ok(Measurement {
        units: result.requests,
        elapsed: result.elapsed,
        cpu: Duration::ZERO,
        latency: Some(result.latency),
        failed: result.failed,
    })
}

fn bulk(site: &Site, target: Target, length: Duration) -> Result<Measurement> {
    let address = Site::address(target);
    let result = wrk::run(
        site,
        &Wrk {
            url: &format!("http://{address}/{LARGE_FILE}"),
            connections: 4,
            close: false,
            length,
        },
    )?;
    Ok(Measurement {
        units: result.bytes / 1e6,
        elapsed: result.elapsed,
        cpu: Duration::ZERO,
        latency: None,
        failed: result.failed,
    })
}
