//! Packets told, a line of JSON each.

use std::{convert::Infallible, fmt};

use axum::body::Bytes;
use futures_util::{Stream, stream};
use humantime::format_rfc3339_micros;
use lb_common::Verdict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Trace, Watched,
    frame::Frame,
    packets::{Event, Names, Packets, Pair},
};

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// A packet was on its way.
    Packet(Box<Packet>),
    /// More of them were not shown: there were too many in a second, or nobody read them fast enough.
    Unshown {
        /// How many more.
        packets: u64,
    },
}

/// A packet, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Packet {
    /// When it came, by RFC 3339, in UTC.
    pub at: String,
    /// The interface that it came in by.
    pub interface: String,
    /// Who it is from: address and port, if it has ports.
    pub from: String,
    /// Who it is to.
    pub to: String,
    /// `tcp`, `udp` or another.
    pub protocol: String,
    /// TCP's flags, such as `SYN,ACK`.
    pub flags: Option<String>,
    /// Length of the frame in bytes.
    pub length: u64,
    /// `tx` or `redirect`: it is forwarded; `answer`: it goes back as the answer to itself; `pass`: this host gets it; `drop`.
    pub verdict: String,
    /// Why it is not forwarded, in the word of the statistics.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub why: Option<String>,
    /// Its service.
    pub service: Option<String>,
    /// Its backend.
    pub backend: Option<String>,
    /// Who it is from as it leaves, if it does.
    pub sent_from: Option<String>,
    /// Who it is to as it leaves.
    pub sent_to: Option<String>,
}

/// The packets of a trace, a line each.
pub fn lines(watched: Watched, trace: &Trace) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let packets = Packets::new(watched, trace.count.unwrap_or(u64::MAX), trace.time());
    stream::unfold(packets, async |mut packets| {
        let line = match packets.next().await? {
            Event::Packet(pair) => Line::Packet(Box::new(Packet::of(&pair, &mut packets))),
            Event::Unshown(packets) => Line::Unshown { packets },
        };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some((Ok(text.into()), packets))
    })
}

/// What became of a packet.
pub(super) struct Fate {
    pub(super) verdict: &'static str,
    pub(super) reason: Option<lb_common::Reason>,
    pub(super) service: Option<String>,
    pub(super) backend: Option<String>,
}

impl Fate {
    pub(super) fn of(pair: &Pair, names: &Names) -> Self {
        let sighting = &pair.after.sighting;
        let row = |number: u32| number.checked_sub(1);
        let found = row(sighting.backend).and_then(|row| names.backends.get(row as usize)?.clone());
        let (service, backend) = match found {
            Some((service, backend)) => (Some(service), Some(backend)),
            None => (
                row(sighting.service).and_then(|row| names.services.get(&row).cloned()),
                None,
            ),
        };
        let reason = sighting.reason();
        let word = Verdict::NAMES.get(sighting.verdict as usize);
        let verdict = word.copied().unwrap_or_default();
        Self {
            // It goes back where it came from, as a reply that was forwarded may.
            verdict: if verdict == "tx" && reason.is_some() {
                "answer"
            } else {
                verdict
            },
            reason,
            service,
            backend,
        }
    }

    /// Whether something leaves, or was made another packet for this host.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.verdict, "tx" | "redirect" | "answer") || self.reason == Some(lb_common::Reason::Local)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict)?;
        if let Some(service) = &self.service {
            write!(f, ", {service}")?;
        }
        if let Some(backend) = &self.backend {
            write!(f, "/{backend}")?;
        }
        if let Some(reason) = self.reason {
            write!(f, ", {}: {}", reason.name(), reason.description())?;
        }
        Ok(())
    }
}

impl Packet {
    fn of(pair: &Pair, packets: &mut Packets) -> Self {
        let Pair { before, after } = pair;
        let fate = Fate::of(pair, &packets.names());
        let frame = Frame::of(&before.frame);
        let sent = fate.goes_on().then(|| Frame::of(&after.frame));
        Self {
            at: format_rfc3339_micros(packets.time(before)).to_string(),
            interface: packets.interface(before).to_owned(),
            from: frame.from,
            to: frame.to,
            protocol: frame.protocol,
            flags: frame.flags,
            length: before.sighting.length,
            verdict: fate.verdict.to_owned(),
            reason: fate.reason.map(|reason| reason.name().to_owned()),
            why: fate.reason.map(|reason| reason.description().to_owned()),
            service: fate.service,
            backend: fate.backend,
            sent_from: sent.as_ref().map(|sent| sent.from.clone()),
            sent_to: sent.map(|sent| sent.to),
        }
    }
}
