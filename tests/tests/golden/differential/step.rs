//! What a story is made of: frames, and changes of the world between them. Kept as one line of JSON each.

use std::fmt::Write as _;

use lb_common::{
    address::AddressCell as _,
    layout::{Retries, Span},
    manner::Manner,
    memory::Memory,
};
use serde::{Deserialize, Serialize};

use crate::{
    tunnel::Tunnel,
    world::{self, BACKEND_MAC, Family},
};

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// A frame comes in by an interface.
    Frame(u32, Bytes),
    /// The host sends a frame.
    Emit(Bytes),
    /// Flows and remembered datagrams become older, by ticks.
    Age(u32),
    /// Each worker has answered with so many pings and errors in this second.
    Answered(u32),
    /// What becomes of unfinished checksums.
    PartialChecksums(u32),
    /// Whether pings are answered.
    Echo(u32),
    /// First port and count of the pool.
    Pool(u16, u16),
    /// Buckets of the flow tables: a power of two.
    Buckets(u32),
    /// How backends of a family are reached.
    Manner(Family, u32),
    /// They are reached through a tunnel: its outer family, and the port of GUE.
    Tunnel(Family, Family, Option<u16>),
    /// A service's backends, by row.
    Backends(Family, u32, Vec<u32>),
    /// Those of them that new flows may go to.
    Choices(u32, Vec<u32>),
    /// A backend is reached where another one is.
    SameServer(u32, u32),
    /// A service's scheduler.
    Scheduler(u32, u32),
    /// The most flows of a service; 0: no limit.
    ServiceLimit(u32, u32),
    /// The most flows of a backend; 0: no limit.
    BackendLimit(u32, u32),
    /// What one source may take of a service: flows in a second, flows, packets in a second; 0: no limit.
    SourceLimits(u32, u32, u32, u32),
    /// Whether a service's list denies a family's client.
    Denied(u32, Family, bool),
    /// From how many half-open flows less one on a service's SYNs are answered with cookies; 0: never.
    Cookies(u32, u32),
    /// Whether damaged packets to a service are refused.
    Verifies(u32, bool),
    /// A backend runs on this host.
    Local(u32),
    /// A backend's next hop: whether its MAC address is known, the interface and the MTU.
    Hop(u32, bool, u32, u32),
    /// How many source addresses there are towards a backend.
    Sources(u32, u32),
    /// Whether flows of a backend end.
    Ends(u32, bool),
    /// How often a backend's connections are moved, and whether its refusals are hidden.
    Retries(u32, u8, bool),
}

impl Step {
    /// Makes the change in a world; nothing for a frame.
    pub(crate) fn change(&self, memory: &Memory<'_>) {
        match self {
            Self::Frame(..) | Self::Emit(_) => {}
            Self::Age(ticks) => {
                world::age(memory, *ticks);
                world::age_datagrams(memory, *ticks);
            }
            Self::Answered(count) => world::answered(memory, *count),
            Self::PartialChecksums(what) => memory.settings.partial_checksums.store(*what),
            Self::Echo(whether) => memory.settings.echo.store(*whether),
            Self::Pool(first, count) => world::pool(memory, *first, *count),
            Self::Buckets(count) => {
                memory.settings.bucket_mask_v4.store(count - 1);
                memory.settings.bucket_mask_v6.store(count - 1);
            }
            Self::Manner(family, manner) => world::manner(memory, *family, Manner(*manner)),
            Self::Tunnel(family, outer, gue) => {
                let (outer, gue) = (*outer, *gue);
                world::tunnel(memory, *family, Tunnel { outer, gue });
            }
            Self::Backends(family, service, rows) => {
                world::join(memory, *family, *service, rows);
                world::choices(memory, *service, rows);
            }
            Self::Choices(service, rows) => world::choices(memory, *service, rows),
            _ => self.change_a_record(memory),
        }
    }

    /// The same of what is one service's or backend's.
    fn change_a_record(&self, memory: &Memory<'_>) {
        let service = |row: u32| &memory.services[row as usize];
        let backend = |row: u32| &memory.backends[row as usize];
        match *self {
            Self::Scheduler(row, scheduler) => service(row).scheduler.store(scheduler),
            Self::ServiceLimit(row, most) => service(row).maxconn.store(most),
            Self::BackendLimit(row, most) => backend(row).maxconn.store(most),
            Self::SourceLimits(row, flow_rate, flows, packet_rate) => {
                service(row).flow_rate.store(flow_rate);
                service(row).source_flows.store(flows);
                service(row).packet_rate.store(packet_rate);
            }
            Self::Cookies(row, from) => service(row).cookies.store(from),
            Self::Denied(row, family, denied) => {
                let list = world::list(memory, 2 * row, family.client().ip());
                service(row).denied.store(if denied { list } else { 0 });
            }
            Self::SameServer(row, other) => {
                let (record, other) = (backend(row), backend(other));
                record.address.store(other.address.load());
                record.port.store(other.port.load());
            }
            Self::Verifies(row, verifies) => world::verify(memory, row, verifies),
            Self::Local(row) => world::local(memory, row),
            Self::Hop(row, known, interface, mtu) => {
                let mac = if known { BACKEND_MAC } else { [0; 6] };
                world::next_hop(memory, row, mac, interface);
                backend(row).hops[0].mtu.store(mtu);
            }
            Self::Sources(row, count) => {
                let cell = &backend(row).sources;
                cell.store(
                    Span {
                        count,
                        ..Span::from_word(cell.load())
                    }
                    .to_word(),
                );
            }
            Self::Ends(row, ends) => world::ends(memory, row, ends),
            Self::Retries(row, most, hides_refusals) => {
                world::retries(memory, row, Retries { most, hides_refusals });
            }
            ref other => panic!("{other:?} is no change of a record"),
        }
    }
}

/// Bytes as they are kept: two digits each.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.0.iter().fold(Self::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("memory takes all");
            text
        })
    }
}

impl TryFrom<String> for Bytes {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let pairs = (0..text.len()).step_by(2);
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap_or("?"), 16);
        pairs.map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from(self.clone()))
    }
}
