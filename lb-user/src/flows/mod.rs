//! The flow table for people: who talks to whom through which backend, and how far they have come.

mod document;
mod read;
#[cfg(test)]
mod tests;

pub use document::{Flow, FlowPage, FlowState, Query};
pub use read::{Clock, Names, backends, page};
