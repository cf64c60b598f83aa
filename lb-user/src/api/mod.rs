//! The HTTP API, over the daemon's [`Handle`](crate::daemon::Handle).
//!
//! Two doors: a Unix socket for the command line ([`serve_socket`]), guarded by its file's mode, and the stats
//! address ([`serve_stats`]) with the stats page, the same questions, and for administrators who have logged in the same
//! orders but for the end of the daemon.

mod answer;
mod guard;
mod login;
mod orders;
mod page;
mod peer;
mod questions;
mod routes;
mod server;
mod socket;
mod stats;
#[cfg(test)]
mod tests;
mod tls;

pub use server::Server;
pub use socket::{SocketError, serve_socket};
pub use stats::{StatsError, serve_stats};
