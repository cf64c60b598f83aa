//! `[flow_log]` after parsing.

use std::path::PathBuf;

/// Where flows are logged that have ended, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLog {
    /// Where the lines go.
    pub to: Destination,
    /// Leave flows out in which no payload went, as `HAProxy`'s option of that name does; default no.
    pub dontlognull: bool,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The daemon's standard output, which a service manager or a container's engine keeps.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}
