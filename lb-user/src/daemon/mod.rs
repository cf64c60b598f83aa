//! The running daemon.

mod configure;
mod event_loop;
mod forwarding;
mod handle;
mod remembered;
mod run;
mod service_manager;
mod status;
mod sweep;
mod watch;

pub use configure::{Applied, ConfigureError, Order};
pub use handle::{
    AttachedInterface, CannotKeep, Ending, FlowsError, Handle, Request, Status, Stopped, Stopping,
};
pub use run::run;
pub use watch::WatchError;
