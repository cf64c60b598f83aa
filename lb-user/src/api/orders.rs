//! Orders, each in the name of whoever gives it.

#![expect(
    unused_qualifications,
    reason = "the macro that describes them writes paths in full"
)]

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, error, misunderstood},
    peer::Who,
};
use crate::{
    daemon::{Applied, Ending, Handle, Order, Stopping},
    flows::{KillError, Killed, NoFlowId},
    runtime::Change,
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
