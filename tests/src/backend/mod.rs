//! The servers behind the balancer: one small program ([`serve`]), run as a real child process ([`Process`]), or those that
//! users have ([`Nginx`], [`MariaDb`]).

mod blob;
mod mariadb;
mod nginx;
mod process;
mod server;

pub use blob::Blob;
pub(crate) use blob::hex;
pub use mariadb::MariaDb;
pub use nginx::Nginx;
pub use process::Process;
pub use server::serve;
pub(crate) use server::{NAME_HEADER, WHO};
