//! The stats address: the page, the questions, and the orders, over TCP or TLS.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    answer, guard,
    login::{self, Logins},
    page, routes,
    server::Server,
    tls::TlsListener,
};
use crate::{config::types::Stats, daemon::Handle};

/// The stats address cannot be served.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// It cannot be listened on.
    #[error("cannot serve the stats page on {bind}: {reason}; change `bind` in [stats]")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// Why, in the system's words.
        reason: io::Error,
    },
    /// What it is served with cannot be used.
    #[error("cannot serve the stats page on {bind}: {reason}")]
    Identity {
        /// The address.
        bind: SocketAddr,
        /// Why.
        reason: io::Error,
    },
}

/// Listens on the address in `settings` and serves the page and the API until `shutdown`.
pub async fn serve_stats(
    settings: Stats,
    handle: Handle,
    shutdown: CancellationToken,
) -> Result<Server<SocketAddr>, StatsError> {
    let bind = settings.bind;
    let failed = |reason| StatsError::Bind { bind, reason };
    let unusable = |reason| StatsError::Identity { bind, reason };
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let tls = settings.tls.clone();
    let router = router(settings, handle).map_err(unusable)?;
    Ok(match tls {
        None => Server::start(address, listener, router, shutdown, ()),
        Some(tls) => {
            let listener = TlsListener::new(listener, &tls).map_err(unusable)?;
            Server::start(address, listener, router, shutdown, ())
        }
    })
}

fn router(settings: Stats, handle: Handle) -> io::Result<Router> {
    let logins = Arc::new(Logins::new(&settings)?);
    let is_open = settings.users.is_empty();
    let orders = routes::orders(handle.clone()).route_layer(middleware::from_fn(json_only));
    let everything = routes::questions(handle.clone())
        .merge(orders)
        .merge(page::routes(settings, handle, Arc::clone(&logins)))
        .layer(middleware::from_fn(login::honest_orders_only))
        .layer(middleware::from_fn_with_state(logins, login::users_only));
    // Where there are passwords, another name for this host brings nobody in.
    let guarded = if is_open {
        everything.layer(middleware::from_fn(guard::local_names_only))
    } else {
        everything
    };
    Ok(guarded.layer(middleware::map_response(guard::with_security_headers)))
}

/// Takes orders of the API in JSON alone, which no other site's page can send without asking.
async fn json_only(request: Request, next: Next) -> Response {
    if login::is_json(request.headers()) {
        return next.run(request).await;
    }
    answer::error(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send orders with `Content-Type: application/json`",
    )
}
