//! The running daemon.

mod handle;

pub use handle::{AttachedInterface, Handle, Request, Status, Stopped};
