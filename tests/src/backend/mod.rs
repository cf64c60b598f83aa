//! The servers behind the balancer: one small program ([`serve`]), run as a real child process ([`Process`]).

mod blob;
mod process;
mod server;

pub use blob::Blob;
pub(crate) use blob::hex;
pub use process::Process;
pub use server::serve;
pub(crate) use server::{NAME_HEADER, WHO};
