//! The running daemon.

mod handle;
mod run;

pub use handle::{AttachedInterface, Handle, Request, Status, Stopped};
pub use run::run;
