//! Packets that are answered here instead of being forwarded: the frame turns round and goes back with other content.

mod error;
mod frame;
mod reset;

pub use error::error;
pub(crate) use frame::Own;
pub use reset::reset;
