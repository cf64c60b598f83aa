//! What the daemon says of itself.

mod document;

pub use document::{Backend, Check, Counters, Packets, Service, ServiceState, Statistics, Verdicts};
