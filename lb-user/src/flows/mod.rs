//! The flow table for people: who talks to whom through which backend, how far they have come, the end of it, and a log of
//! those that have ended.

mod document;
mod kill;
pub mod log;
mod read;
mod segment;
#[cfg(test)]
mod tests;

pub use document::{Flow, FlowId, FlowPage, FlowState, Killed, NoFlowId, Query};
pub use kill::{Kill, KillError, kill};
pub use read::{Clock, Names, backends, page};
pub use segment::Shot;
