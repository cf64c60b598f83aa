//! What the daemon says of itself: the document, and the page made of it.

mod document;
pub mod format;
mod page;
#[cfg(test)]
pub(crate) mod sample;

pub use document::{
    Backend, Check, Counters, ListedBackend, Packets, Service, ServiceState, Statistics, Verdicts,
};
pub use page::{CONTENT_SECURITY_POLICY, Page};
