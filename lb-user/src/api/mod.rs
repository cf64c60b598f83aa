//! The HTTP API, over the daemon's [`Handle`](crate::daemon::Handle).
//!
//! Two doors: a Unix socket for the command line ([`serve_socket`]), guarded by its file's mode, and the stats
//! address ([`serve_stats`]) with the same questions, the stats page, and nothing that changes anything.

mod guard;
mod routes;
mod server;
mod socket;
mod stats;
#[cfg(test)]
mod tests;

pub use server::Server;
pub use socket::{SocketError, serve_socket};
pub use stats::{StatsError, serve_stats};
