//! The flow table on one thread, and on several.

mod actor;
mod clock;
mod entry;
mod evict;
mod fixture;
mod log;
mod model;
mod pair;
mod place;
mod race;
mod stress;
mod sweep;
mod table;
