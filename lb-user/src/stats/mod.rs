//! What the daemon says of itself: the document, and what is made of it: the page, metrics, a table of values.

pub mod csv;
mod document;
pub mod format;
pub mod metrics;
pub mod observed;
mod page;
#[cfg(test)]
pub(crate) mod sample;

pub use document::{
    Backend, Check, Counters, ListedBackend, Packets, Service, ServiceState, Statistics, Verdicts,
};
pub use page::{ASSETS, Action, Asset, CONTENT_SECURITY_POLICY, Confirmation, Form, Page, base};
