//! A line of the flow log.

use std::{net::SocketAddr, time::SystemTime};

use lb_common::{
    flow::{Record, State, Why},
    memory::Memory,
};
use serde::Serialize;

use crate::flows::{
    Clock,
    read::{Parties, Reader, protocol},
};

/// A flow that has ended, as it stands in the log.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// When its first packet came; none of one that is older than the log.
    start: Option<String>,
    /// When its last packet came, if one of its ends closed it; else when it was given up.
    end: String,
    duration_ms: Option<u128>,
    protocol: &'static str,
    service: Option<String>,
    backend: String,
    mode: &'static str,
    client: SocketAddr,
    virtual_address: SocketAddr,
    snat_address: SocketAddr,
    backend_address: SocketAddr,
    packets_in: u64,
    bytes_in: u64,
    payload_in: u64,
    packets_out: u64,
    bytes_out: u64,
    payload_out: u64,
    /// How often it was moved to another backend before one answered.
    retries: u8,
    reason: &'static str,
}

/// Flows that ended and are not in the log, since there was no room for them.
#[derive(Debug, Serialize)]
pub(super) struct Gap {
    pub(super) time: String,
    pub(super) lost: u64,
}

/// What both clocks show at the same moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) clock: Clock,
    pub(super) time: SystemTime,
}

impl Line {
    pub(super) fn new(reader: &Reader<'_>, moment: Moment, record: &Record) -> Self {
        let way = record.way;
        let Parties {
            client,
            virtual_address,
            snat_address,
            backend_address,
            mode,
            service,
            backend,
        } = reader.parties((&record.key, &record.to), way.forwarding(), way.backend());
        let closed = record.state.has(State::CLOSED);
        let end = if closed { record.seen } else { record.ended };
        let duration = |began: u32| (moment.clock.tick * end.wrapping_sub(began)).as_millis();
        let [packets_in, bytes_in, payload_in] = record.sent;
        let [packets_out, bytes_out, payload_out] = record.answered;
        Self {
            start: record.began.map(|began| moment.told(began)),
            end: moment.told(end),
            duration_ms: record.began.map(duration),
            protocol: protocol(way.protocol()),
            service,
            backend,
            mode,
            client,
            virtual_address,
            snat_address,
            backend_address,
            packets_in,
            bytes_in,
            payload_in,
            packets_out,
            bytes_out,
            payload_out,
            retries: way.attempts(),
            reason: reason(reader.memory, record),
        }
    }
}

impl Moment {
    /// A time of the flow table's clock, in words.
    fn told(&self, ticks: u32) -> String {
        let ago = self.clock.tick * self.clock.now.wrapping_sub(ticks);
        told(self.time.checked_sub(ago).unwrap_or(self.time))
    }
}

/// A time as RFC 3339 has it, in UTC.
pub(super) fn told(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Why it is over.
fn reason(memory: &Memory<'_>, record: &Record) -> &'static str {
    let (state, way) = (record.state, record.way);
    let is_drained = |row: u32| {
        let backend = memory.backends.get(row as usize);
        backend.is_some_and(|backend| backend.drained.load() != 0)
    };
    if state.has(State::CLOSED) {
        // Where answers are not seen, the client's FIN stands for both.
        let unseen = !way.forwarding().sees_answers();
        let fin = state.has(State::CLIENT_FIN) && (unseen || state.has(State::BACKEND_FIN));
        return if fin { "fin" } else { "rst" };
    }
    match record.why {
        Why::Over if state.has(State::ESTABLISHED) => "idle-timeout",
        Why::Over => "half-open-timeout",
        Why::Evicted => "evicted",
        Why::Moved => "moved",
        Why::BackendEnds if is_drained(way.backend()) => "drain-timeout",
        Why::BackendEnds => "backend-down",
        Why::Killed => "killed",
        Why::Stopped => "stopped",
    }
}
