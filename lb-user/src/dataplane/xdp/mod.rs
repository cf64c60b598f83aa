//! The packet path in the kernel.

mod attach;
mod clock;
mod object;
mod tables;

pub use attach::{AttachError, Mode, Xdp};
pub use object::{LoadError, Object};
