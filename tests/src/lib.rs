//! The lab: a client, a balancer and a few backends as network namespaces on this machine, with real processes,
//! real sockets and the real `ballast` daemon in them.
//!
//! [`Lab`] builds it ([`Wiring`] says how it is cabled) and takes everything down again when it is dropped;
//! [`load`] makes traffic in the client's namespace; [`observe`] reads what the kernel says happened. The
//! end-to-end suite and the `ballast-lab` command are two users of the same lab.

mod audit;
pub mod backend;
pub mod bench;
mod builder;
mod cabling;
mod command;
mod daemon;
mod daemon_config;
mod forwarding;
mod lab;
pub mod load;
mod namespace;
pub mod observe;
mod pins;
mod program;
mod relay;
mod run_directory;
mod service;
mod topology;
mod tunnel_end;
mod wait;
mod xdp_pass;

pub use builder::Builder;
pub use command::target_directory;
pub use daemon::Daemon;
pub use daemon_config::{CheckTimes, DaemonConfig, Dataplane};
pub use forwarding::Mode;
pub use lab::Lab;
pub use namespace::Namespace;
pub use pins::pinned;
pub use relay::Relay;
pub use run_directory::{ROOT as RUN_ROOT, RunDirectory, running, sweep};
pub use service::Service;
pub use topology::{Family, HOST_INTERFACE, Role, Wiring};
pub use wait::wait_for;

/// TCP port of the web services, on the virtual addresses.
pub const WEB_PORT: u16 = 80;
/// UDP port of the echo services, on the virtual addresses.
pub const ECHO_PORT: u16 = 7;
/// TCP and UDP port of every backend; not the services' own, so that ports are translated too.
pub const BACKEND_PORT: u16 = 8080;
