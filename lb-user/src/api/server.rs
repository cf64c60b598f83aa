//! A listener that is served until it is told to stop.

use std::time::Duration;

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::peer::Peer;

/// How long answers that are under way at shutdown may take.
const GRACE: Duration = Duration::from_secs(2);

/// A listener, served by a task of its own.
#[derive(Debug)]
pub struct Server<A> {
    address: A,
    task: JoinHandle<()>,
}

impl<A> Server<A> {
    /// Serves `router` until `shutdown`; `listener` is bound to `address` already, and `keep` is dropped at the end.
    pub(super) fn start<L>(
        address: A,
        listener: L,
        router: Router,
        shutdown: CancellationToken,
        keep: impl Send + 'static,
    ) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
        Peer: for<'s> Connected<IncomingStream<'s, L>>,
    {
        let task = tokio::spawn(async move {
            serve(listener, router, shutdown).await;
            drop(keep);
        });
        Self { address, task }
    }

    /// Where it listens.
    pub fn address(&self) -> &A {
        &self.address
    }

    /// Waits until it has stopped, which it does soon after its shutdown token is cancelled.
    pub async fn finished(self) {
        if let Err(error) = self.task.await {
            warn!(%error, "the API ended by itself");
        }
    }
}

async fn serve<L>(listener: L, router: Router, shutdown: CancellationToken)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
    Peer: for<'s> Connected<IncomingStream<'s, L>>,
{
    let router = router.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let out_of_patience = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server.into_future() => if let Err(error) = result {
            warn!(%error, "the API stopped listening");
        },
        () = out_of_patience => {}
    }
}
