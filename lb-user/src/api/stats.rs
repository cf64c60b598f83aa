//! The stats address: the page and the questions, over TCP.

use std::{io, net::SocketAddr, sync::Arc};

use askama::Template as _;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    middleware,
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{guard, routes, server::Server};
use crate::{config::types::Stats, daemon::Handle, stats::Page};

/// The stats address cannot be listened on.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve the stats page on {bind}: {reason}; change `bind` in [stats]")]
pub struct StatsError {
    /// The address.
    bind: SocketAddr,
    /// Why, in the system's words.
    reason: io::Error,
}

/// Listens on the address in `settings` and serves the page and the API's questions until `shutdown`.
pub async fn serve_stats(
    settings: Stats,
    handle: Handle,
    shutdown: CancellationToken,
) -> Result<Server<SocketAddr>, StatsError> {
    let bind = settings.bind;
    let failed = |reason| StatsError { bind, reason };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Server::start(
        address,
        listener,
        router(settings, handle),
        shutdown,
        (),
    ))
}

fn router(settings: Stats, handle: Handle) -> Router {
    let uri = settings.uri.clone();
    // As `HAProxy` has them beside its page.
    let [values, document] = ["csv", "json"].map(|form| format!("{uri};{form}"));
    let other_forms = Router::new()
        .route(&values, get(routes::values))
        .route(&document, get(routes::statistics))
        .with_state(handle.clone());
    let page = Router::new()
        .route(&uri, get(page))
        .with_state((Arc::new(settings), handle.clone()))
        .merge(other_forms);
    routes::questions(handle)
        .merge(page)
        .layer(middleware::from_fn(guard::local_names_only))
        .layer(middleware::map_response(guard::with_security_headers))
}

async fn page(State((settings, handle)): State<(Arc<Stats>, Handle)>) -> Response {
    let statistics = match handle.statistics().await {
        Ok(statistics) => statistics,
        Err(stopped) => return stopped.into_response(),
    };
    match Page::new(&statistics, &settings).render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            error!(%error, "the stats page could not be drawn");
            routes::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be drawn; the log says why",
            )
        }
    }
}
