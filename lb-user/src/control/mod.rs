//! Desired state, and the way from it to the tables.

pub mod maglev;
