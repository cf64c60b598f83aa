//! The packet path in the kernel, and what of it outlives the daemon.

mod adopt;
mod attach;
pub mod bpffs;
mod clock;
mod connect;
mod egress;
mod instance;
mod link;
mod load;
mod mode;
mod object;
mod pins;
mod tables;
mod watch;

pub use attach::Xdp;
pub use link::AttachError;
pub use load::LoadError;
pub use mode::Mode;
pub use object::Object;
pub use pins::{AdoptError, Pins, PinsError};
pub use tables::Tables;
