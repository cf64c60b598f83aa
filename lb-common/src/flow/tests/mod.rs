//! The flow table on one thread, and on several.

mod entry;
mod evict;
mod fixture;
mod pair;
mod race;
mod stress;
mod sweep;
mod table;
