//! Records of the tables. Their layout is shared with a running packet path: whoever changes one raises
//! [`VERSION`].

mod backend;
mod border;
mod counters;
mod datagram;
mod flow_log;
mod note;
mod ports;
mod quota;
mod service;
mod settings;
mod watch;

pub use backend::{Backend, Hop, MAX_RETRIES, Retries, Source};
pub use border::{Border, MAX_BORDERS};
pub use counters::{BackendCounters, MAX_REASONS, PacketCounters};
pub use datagram::{DATAGRAM_ROWS, Datagram, Datagrams};
pub use flow_log::{Account, Ended, Ends};
pub use note::{Allowance, Note};
pub use ports::{ByPort, PortFilter};
pub use quota::Quotas;
pub use service::{ChoiceWord, Service, ServiceSlot, Span};
pub use settings::{ANSWER_ECHO, COMPLETE_PARTIAL, KEEP_PARTIAL, Settings};
pub use watch::Watch;

/// Version of all layouts together; a daemon adopts only tables of its own version.
pub const VERSION: u32 = 15;

/// The most backends that tables have rows for. An entry of the flow table has twenty bits for a row.
pub const MAX_BACKENDS: u32 = 1 << 20;
