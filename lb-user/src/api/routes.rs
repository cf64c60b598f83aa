//! What the API answers.

use std::fmt::Display;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tracing::error;

use crate::{
    control::{Found, LookUp, LookUpError},
    daemon::{Ending, FlowsError, Handle, Status, Stopped, Stopping},
    flows::{self, FlowPage, KillError, Killed, NoFlowId},
    stats::{ListedBackend, Statistics, csv, metrics, observed::REGISTRY},
};

/// The questions that change nothing, with an answer of its own for whatever else is asked.
pub(super) fn questions(handle: Handle) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/stats", get(statistics))
        .route("/api/v1/stats.csv", get(values))
        .route("/api/v1/status", get(status))
        .route("/api/v1/backends", get(backends))
        .route("/api/v1/flows", get(flow_page))
        .route("/api/v1/lookup", get(look_up))
        .fallback(nothing)
        .with_state(handle)
}

/// Those and the orders, for whoever may open the control socket.
pub(super) fn questions_and_orders(handle: Handle) -> Router {
    let orders = Router::new()
        .route("/api/v1/flows/{flow}/kill", post(kill))
        .route("/api/v1/stop", post(stop))
        .with_state(handle.clone());
    questions(handle).merge(orders)
}

pub(super) async fn statistics(State(handle): State<Handle>) -> Result<Json<Statistics>, Stopped> {
    handle.statistics().await.map(Json)
}

/// The statistics as a table of values.
pub(super) async fn values(State(handle): State<Handle>) -> Result<Response, Stopped> {
    let statistics = handle.statistics().await?;
    Ok(text("text/csv; charset=utf-8", csv::text(&statistics)))
}

async fn metrics(State(handle): State<Handle>) -> Result<Response, Stopped> {
    let statistics = handle.statistics().await?;
    Ok(text(metrics::CONTENT_TYPE, metrics::text(&statistics, &REGISTRY)))
}

/// A text of a content type of its own.
fn text(kind: &'static str, text: Result<String, impl Display>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(reason) => {
            error!(%reason, "an answer could not be written");
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written; the log says why",
            )
        }
    }
}

async fn status(State(handle): State<Handle>) -> Result<Json<Status>, Stopped> {
    handle.status().await.map(Json)
}

async fn backends(State(handle): State<Handle>) -> Result<Json<Vec<ListedBackend>>, Stopped> {
    handle
        .statistics()
        .await
        .map(|statistics| Json(statistics.listed_backends()))
}

async fn flow_page(
    State(handle): State<Handle>,
    query: Result<Query<flows::Query>, QueryRejection>,
) -> Result<Json<FlowPage>, Response> {
    let Query(query) = query.map_err(misunderstood)?;
    let page = handle.flows(query).await.map_err(IntoResponse::into_response)?;
    page.map(Json).map_err(|reason| {
        let status = match reason {
            FlowsError::NoService(_) => StatusCode::NOT_FOUND,
            FlowsError::Clock(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error(status, &reason.to_string())
    })
}

async fn look_up(
    State(handle): State<Handle>,
    query: Result<Query<LookUp>, QueryRejection>,
) -> Result<Json<Found>, Response> {
    let Query(flow) = query.map_err(misunderstood)?;
    let found = handle.look_up(flow).await.map_err(IntoResponse::into_response)?;
    found.map(Json).map_err(|reason| {
        let status = match reason {
            LookUpError::Families(..) | LookUpError::Protocol(_) => StatusCode::BAD_REQUEST,
            LookUpError::Clock(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error(status, &reason.to_string())
    })
}

async fn kill(State(handle): State<Handle>, Path(flow): Path<String>) -> Result<Json<Killed>, Response> {
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

/// Arguments of the order to stop.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    /// Leave the packet path forwarding.
    #[serde(default)]
    keep: bool,
}

async fn stop(
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

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn misunderstood(rejection: QueryRejection) -> Response {
    error(StatusCode::BAD_REQUEST, &rejection.body_text())
}

async fn nothing() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "there is nothing here; the API is under /api/v1",
    )
}

/// An error as the API says it: a status and one line.
pub(super) fn error(status: StatusCode, line: &str) -> Response {
    (status, Json(json!({ "error": line }))).into_response()
}

impl IntoResponse for Stopped {
    fn into_response(self) -> Response {
        error(StatusCode::SERVICE_UNAVAILABLE, &self.to_string())
    }
}
