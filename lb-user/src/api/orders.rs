//! Orders, each in the name of whoever gives it.

#![expect(
    unused_qualifications,
    reason = "the macro that describes them writes paths in full"
)]

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, error, misunderstood},
    peer::Who,
};
use crate::{
    control::FilterError,
    daemon::{Applied, Ending, Handle, Order, Stopping, WatchError},
    flows::{KillError, Killed, NoFlowId},
    runtime::Change,
    trace::{self, Capture, Line, Trace, Watch, Watched},
};

/// End a flow: both ends of a TCP connection get a reset.
#[utoipa::path(
    post,
    path = "/api/v1/flows/{flow}/kill",
    tag = "orders",
    params(("flow" = String, Path, description = "Its id, such as `3f2a-1`.")),
    responses((status = OK, body = Killed), (status = BAD_REQUEST, body = Refusal), (status = NOT_FOUND, body = Refusal))
)]
pub(super) async fn kill(
    State(handle): State<Handle>,
    Path(flow): Path<String>,
) -> Result<Json<Killed>, Response> {
    let flow = flow
        .parse()
        .map_err(|reason: NoFlowId| error(StatusCode::BAD_REQUEST, &reason.to_string()))?;
    let killed = handle.kill(flow).await.map_err(IntoResponse::into_response)?;
    killed.map(Json).map_err(|reason| {
        let status = match reason {
            KillError::NoFlow(_) => StatusCode::NOT_FOUND,
            KillError::Clock(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error(status, &reason.to_string())
    })
}

/// Change what runs; the file stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/changes",
    tag = "orders",
    request_body = Change,
    responses((status = OK, body = Applied), (status = BAD_REQUEST, body = Refusal), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn change(
    state: State<Handle>,
    who: Who,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<Json<Applied>, Response> {
    let Json(change) = change.map_err(|rejection| error(StatusCode::BAD_REQUEST, &rejection.body_text()))?;
    configure(state, who, Order::Change(change)).await
}

/// Take the configuration file in.
#[utoipa::path(
    post,
    path = "/api/v1/reload",
    tag = "orders",
    responses((status = OK, body = Applied), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn reload(state: State<Handle>, who: Who) -> Result<Json<Applied>, Response> {
    configure(state, who, Order::Reload).await
}

/// Write what runs to the file.
#[utoipa::path(
    post,
    path = "/api/v1/save",
    tag = "orders",
    responses((status = OK, body = Applied), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn save(state: State<Handle>, who: Who) -> Result<Json<Applied>, Response> {
    configure(state, who, Order::Save).await
}

/// Undo all changes that are not in the file.
#[utoipa::path(
    post,
    path = "/api/v1/rollback",
    tag = "orders",
    responses((status = OK, body = Applied), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn roll_back(state: State<Handle>, who: Who) -> Result<Json<Applied>, Response> {
    configure(state, who, Order::RollBack).await
}

async fn configure(State(handle): State<Handle>, who: Who, order: Order) -> Result<Json<Applied>, Response> {
    let applied = handle.configure(order, who.0).await;
    let applied = applied.map_err(IntoResponse::into_response)?;
    applied
        .map(Json)
        .map_err(|reason| error(StatusCode::CONFLICT, &reason.to_string()))
}

/// Follow packets through the packet path, until whoever asks goes: a line of JSON for each.
///
/// One watches packets at a time, be it here or to capture them.
#[utoipa::path(
    post,
    path = "/api/v1/trace",
    tag = "orders",
    request_body = Trace,
    responses(
        (status = OK, body = Line, content_type = "application/jsonl"),
        (status = BAD_REQUEST, body = Refusal),
        (status = NOT_FOUND, body = Refusal),
        (status = CONFLICT, body = Refusal)
    )
)]
pub(super) async fn trace(
    state: State<Handle>,
    who: Who,
    trace: Result<Json<Trace>, JsonRejection>,
) -> Result<Response, Response> {
    let Json(trace) = trace.map_err(|rejection| error(StatusCode::BAD_REQUEST, &rejection.body_text()))?;
    let watched = watch(state, who, trace.watch()).await?;
    let lines = Body::from_stream(trace::lines(watched, &trace));
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
}

/// Record packets of a service, all that they carry with them: pcapng, each as it came in and as it left.
#[utoipa::path(
    post,
    path = "/api/v1/capture",
    tag = "orders",
    request_body = Capture,
    responses(
        (status = OK, body = [u8], content_type = "application/octet-stream"),
        (status = BAD_REQUEST, body = Refusal),
        (status = NOT_FOUND, body = Refusal),
        (status = CONFLICT, body = Refusal)
    )
)]
pub(super) async fn capture(
    state: State<Handle>,
    who: Who,
    capture: Result<Json<Capture>, JsonRejection>,
) -> Result<Response, Response> {
    let Json(capture) =
        capture.map_err(|rejection| error(StatusCode::BAD_REQUEST, &rejection.body_text()))?;
    let watched = watch(state, who, capture.watch()).await?;
    let file = trace::pcap(watched, &capture)
        .map_err(|reason| error(StatusCode::INTERNAL_SERVER_ERROR, &reason.to_string()))?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, Body::from_stream(file)).into_response())
}

async fn watch(State(handle): State<Handle>, who: Who, watch: Watch) -> Result<Watched, Response> {
    let watched = handle
        .watch(watch, who.0)
        .await
        .map_err(IntoResponse::into_response)?;
    watched.map_err(|reason| {
        let status = match &reason {
            WatchError::Busy(_) => StatusCode::CONFLICT,
            WatchError::Filter(FilterError::NoService(_) | FilterError::NoBackend(_)) => {
                StatusCode::NOT_FOUND
            }
            WatchError::Filter(FilterError::Ambiguous(_)) => StatusCode::BAD_REQUEST,
            WatchError::Engine(_) | WatchError::Clock(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error(status, &reason.to_string())
    })
}

/// Arguments of the order to stop.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Stop {
    /// Leave the packet path forwarding.
    #[serde(default)]
    keep: bool,
}

/// End the daemon. The control socket alone takes this.
#[utoipa::path(
    post,
    path = "/api/v1/stop",
    tag = "orders",
    params(Stop),
    responses((status = OK, body = Stopping), (status = BAD_REQUEST, body = Refusal), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn stop(
    State(handle): State<Handle>,
    arguments: Result<Query<Stop>, QueryRejection>,
) -> Result<Json<Stopping>, Response> {
    let Query(Stop { keep }) = arguments.map_err(misunderstood)?;
    let ending = if keep { Ending::Keep } else { Ending::Detach };
    let stopping = handle.stop(ending).await.map_err(IntoResponse::into_response)?;
    stopping
        .map(Json)
        .map_err(|reason| error(StatusCode::CONFLICT, &reason.to_string()))
}
