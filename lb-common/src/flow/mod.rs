//! The flow table: which packets belong to a flow, and what is done to them.
//!
//! A bucket holds [`ENTRIES`] entries; a key's entry stands in one of two buckets, chosen by its hash. Each flow
//! has two entries, one per direction, each found by the key that the direction's packets carry, each knowing
//! where the other stands. (Where answers do not come by here, a flow has one entry and nothing else.) All that a packet
//! needs is in its own entry: one look-up touches one entry's memory.
//!
//! Entries are claimed, published and given up by compare-and-swap of one [`Control`] word, so that CPUs and the
//! daemon use the table at once without locks:
//!
//! - a claimed entry is its claimer's alone, and nobody reads its flow before it is published;
//! - the word's generation changes with each claim: who finds the same word before and after reading an entry
//!   has read what belongs together;
//! - a claimer looks once more after its claim is visible, and gives up where another holds the same tag: two
//!   CPUs can both fail to insert one key, but never both succeed.

mod control;
mod entry;
mod evict;
mod hit;
mod log;
mod place;
mod sweep;
mod table;
mod track;
mod way;

#[cfg(test)]
mod tests;

pub use control::{Control, State};
pub use entry::{Bucket, Client, ENTRIES, Entry, Flow, NO_PARTNER};
pub use evict::make_room;
pub use hit::Hit;
pub use log::{Record, Why, log, take_up};
pub(crate) use log::{begin, count};
pub(crate) use place::tag;
pub use sweep::{Limits, sweep};
#[cfg(any(test, feature = "memory"))]
pub(crate) use table::STRIDE;
pub use table::{Claim, claim, find, is_free, lingering};
pub use track::track;
pub use way::Way;
