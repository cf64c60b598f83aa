//! `ballast trace`

use clap::Args;

use super::{client::Client, output};
use crate::{
    stats::format,
    trace::{self, Line, Packet},
};

/// Follow packets on their way: what becomes of each, and why
///
/// A line for each packet, until Ctrl-C or as many as are asked for. At most so many a second are shown by each CPU, and how
/// many were not is said. As long as nobody follows packets, this costs them nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast trace --service fe --client 192.0.2.0/24 --count 20
  ballast trace --json | jq 'select(.verdict == \"drop\")'")]
pub(super) struct Trace {
    #[command(flatten)]
    daemon: Client,
    /// Only packets of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only packets of this client or network, from this port if one is named; IPv6 with a port in brackets
    #[arg(long, value_name = "IP[/LENGTH][:PORT]")]
    client: Option<trace::Client>,
    /// Only packets from or to this backend
    #[arg(long, value_name = "[SERVICE/]BACKEND")]
    backend: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// At most so many a second by each CPU
    #[arg(long, value_name = "N/s", default_value = "100/s", value_parser = rate)]
    rate: u32,
    /// For so long
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Print a JSON document in each line
    #[arg(long)]
    json: bool,
}

/// So many, with or without the unit.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let parsed = number.parse().ok().filter(|rate| *rate > 0);
    parsed.ok_or_else(|| "write how many packets a second, such as 100/s".to_owned())
}

impl Trace {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let order = trace::Trace {
            service: self.service,
            client: self.client,
            backend: self.backend,
            count: self.count,
            rate: Some(self.rate),
            seconds: self.seconds,
        };
        let mut rest = Vec::new();
        self.daemon.follow("trace", &order, |piece| {
            rest.extend_from_slice(piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8(line)?;
                output::print(&if self.json {
                    line
                } else {
                    text(&serde_json::from_str(&line)?)
                })?;
            }
            Ok(())
        })
    }
}

/// A line for people.
pub(super) fn text(line: &Line) -> String {
    match line {
        Line::Packet(packet) => of_packet(packet),
        Line::Unshown { packets } => {
            format!("{} more packets were not shown\n", format::count(*packets))
        }
    }
}

fn of_packet(packet: &Packet) -> String {
    // The day is the reader's.
    let time = packet.at.split_once('T').map_or("", |(_, time)| time);
    let Packet {
        interface,
        from,
        to,
        protocol,
        ..
    } = packet;
    let mut words = vec![format!("{time} {interface} {from} > {to} {protocol}")];
    words.extend(packet.flags.clone());
    words.push(format!("{} B: {}", packet.length, packet.verdict));
    if let Some(service) = &packet.service {
        let backend = packet.backend.iter().map(|backend| format!("/{backend}"));
        words.push(format!("{service}{}", backend.collect::<String>()));
    }
    if let (Some(from), Some(to)) = (&packet.sent_from, &packet.sent_to) {
        words.push(format!("as {from} > {to}"));
    }
    let mut line = words.join(" ");
    if let (Some(reason), Some(why)) = (&packet.reason, &packet.why) {
        line = format!("{line}, {reason}: {why}");
    }
    line + "\n"
}
