//! The running daemon.

mod handle;
mod run;
mod status;
mod sweep;

pub use handle::{AttachedInterface, Handle, Request, Status, Stopped};
pub use run::run;
