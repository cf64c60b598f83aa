//! Configuration.
pub mod types;
