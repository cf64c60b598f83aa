//! What whoever watches asks for.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Client;

/// Packets to be told of, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// Only those of this service.
    pub service: Option<String>,
    /// Only those of this client: an address or network, such as `192.0.2.0/24:40000`, whose port may be left out.
    #[schema(value_type = Option<String>)]
    pub client: Option<Client>,
    /// Only those from or to this backend: `BACKEND`, or `SERVICE/BACKEND`.
    pub backend: Option<String>,
    /// At most so many; else until whoever asks goes.
    pub count: Option<u64>,
    /// At most so many a second by each CPU; 100 if nothing is said.
    pub rate: Option<u32>,
    /// For so long.
    pub seconds: Option<u64>,
}

/// Packets of a service to be recorded, as they came in and as they left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// The service.
    pub service: String,
    /// As in a trace.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub client: Option<Client>,
    /// As in a trace.
    #[serde(default)]
    pub backend: Option<String>,
    /// At most so many; 10,000 if nothing is said.
    #[serde(default)]
    pub packets: Option<u64>,
    /// At most so many bytes of file; 64 MiB if nothing is said.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// For so long; a minute if nothing is said.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// At most so many bytes of each packet; all of it if nothing is said.
    #[serde(default)]
    pub snaplen: Option<u32>,
}

/// Which packets are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this service.
    pub service: Option<String>,
    /// Of this client.
    pub client: Option<Client>,
    /// From or to this backend.
    pub backend: Option<String>,
}

/// What the packet path is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Which packets.
    pub filter: Filter,
    /// How many in a second, by each CPU.
    pub rate: u32,
    /// How many bytes of each.
    pub length: u32,
    /// What it is for, in the journal's words.
    pub what: String,
}

impl Trace {
    /// Unless something else is said: what a terminal and a reader can follow.
    const RATE: u32 = 100;

    /// All headers that matter, behind tags and extension headers, with some room.
    const LENGTH: u32 = 192;

    /// What the packet path is to show.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let filter = Filter {
            service: self.service.clone(),
            client: self.client,
            backend: self.backend.clone(),
        };
        Watch {
            what: format!("traced packets{filter}"),
            filter,
            rate: self.rate.unwrap_or(Self::RATE),
            length: Self::LENGTH,
        }
    }

    pub(super) fn time(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

impl Capture {
    const PACKETS: u64 = 10_000;
    const BYTES: u64 = 64 << 20;
    const TIME: Duration = Duration::from_mins(1);

    /// What the packet path is to show.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let filter = Filter {
            service: Some(self.service.clone()),
            client: self.client,
            backend: self.backend.clone(),
        };
        let (packets, bytes, time) = (self.most_packets(), self.most_bytes(), self.time());
        Watch {
            what: format!(
                "captured packets with what they carry{filter}: at most {packets} packets, {bytes} bytes and {time:?}"
            ),
            filter,
            rate: u32::MAX,
            length: self.snaplen.unwrap_or(u32::MAX),
        }
    }

    pub(super) fn most_packets(&self) -> u64 {
        self.packets.unwrap_or(Self::PACKETS)
    }

    pub(super) fn most_bytes(&self) -> u64 {
        self.bytes.unwrap_or(Self::BYTES)
    }

    pub(super) fn time(&self) -> Duration {
        self.seconds.map_or(Self::TIME, Duration::from_secs)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service {
            write!(f, " of service {service}")?;
        }
        if let Some(client) = &self.client {
            write!(f, " of client {client}")?;
        }
        if let Some(backend) = &self.backend {
            write!(f, " of backend {backend}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_says_whose_packets_somebody_watched() {
        let trace = Trace {
            service: Some("web".to_owned()),
            client: Some("192.0.2.0/24".parse().expect("a client")),
            ..Trace::default()
        };
        let watch = trace.watch();
        assert_eq!(watch.what, "traced packets of service web of client 192.0.2.0/24");
        assert_eq!(watch.rate, 100);
        let capture = Capture {
            service: "web".to_owned(),
            seconds: Some(5),
            ..Capture::default()
        };
        assert_eq!(
            capture.watch().what,
            "captured packets with what they carry of service web: at most 10000 packets, 67108864 bytes and 5s"
        );
    }
}
