//! The flow table on one thread, and on several.

mod evict;
mod fixture;
mod pair;
mod stress;
mod sweep;
mod table;
