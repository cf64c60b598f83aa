//! Traffic made in the client's namespace. Nothing is ever tried twice: a failure is a failure.

mod damaged;
mod echo;
mod flood;
mod report;
mod requests;
mod sql;
mod transfer;
mod unending;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime;

pub use damaged::Damaged;
pub use echo::{Echo, EchoReport, RunningEcho};
pub use flood::Flood;
pub use report::{Failure, Report};
pub use requests::{Requests, Running};
pub use sql::{Session, query};
pub use transfer::{Direction, SlowTransfer, Transfer, TransferReport};
pub use unending::{SynFlood, Unending};

use crate::{Namespace, backend::NAME_HEADER};

/// How long a request or an echo may take. Far above what a healthy lab needs, so that it separates slow from lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a future on the current thread, whose namespace its sockets will have.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// Runs the future that `make` gives in `namespace`, and waits for it.
fn block_on_in<T: Send, F: Future<Output = Result<T>>>(
    namespace: &Namespace,
    make: impl FnOnce() -> F + Send,
) -> Result<T> {
    namespace.run(|| block_on(make()))
}

/// A client that opens a connection for each request, closes it after the answer, and gives a request up after
/// `limit`.
fn one_shot_client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(PATIENCE)
        .timeout(limit)
        .retry(reqwest::retry::never())
        .build()
}

/// Name of the backend that answered.
fn backend_of(response: &reqwest::Response) -> Result<String> {
    let header = response.headers().get(NAME_HEADER);
    Ok(header
        .context("the answer does not name its backend")?
        .to_str()?
        .to_owned())
}
