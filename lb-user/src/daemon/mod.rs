//! The running daemon.

mod event_loop;
mod forwarding;
mod handle;
mod remembered;
mod run;
mod status;
mod sweep;

pub use handle::{
    AttachedInterface, CannotKeep, Ending, FlowsError, Handle, Request, Status, Stopped, Stopping,
};
pub use run::run;
