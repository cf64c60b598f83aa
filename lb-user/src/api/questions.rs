//! Questions, which change nothing.

#![expect(
    unused_qualifications,
    reason = "the macro that describes them writes paths in full"
)]

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Refusal, error, misunderstood, text};
use crate::{
    control::{Found, LookUp, LookUpError},
    daemon::{FlowsError, Handle, Status, Stopped},
    flows::{self, FlowPage},
    runtime::Entry,
    stats::{self, ListedBackend, Statistics, csv, observed::REGISTRY},
};

/// Everything that is counted, now.
#[utoipa::path(get, path = "/api/v1/stats", tag = "questions", responses((status = OK, body = Statistics)))]
pub(super) async fn statistics(State(handle): State<Handle>) -> Result<Json<Statistics>, Stopped> {
    handle.statistics().await.map(Json)
}

/// The same as comma-separated values, in `HAProxy`'s columns.
#[utoipa::path(get, path = "/api/v1/stats.csv", tag = "questions", responses((status = OK, body = String, content_type = "text/csv")))]
pub(super) async fn values(State(handle): State<Handle>) -> Result<Response, Stopped> {
    let statistics = handle.statistics().await?;
    Ok(text("text/csv; charset=utf-8", csv::text(&statistics)))
}

/// The same for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "questions", responses((status = OK, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(handle): State<Handle>) -> Result<Response, Stopped> {
    let statistics = handle.statistics().await?;
    let metrics = stats::metrics::text(&statistics, &REGISTRY);
    Ok(text(stats::metrics::CONTENT_TYPE, metrics))
}

/// Whether it runs, on what, and whether it can serve.
#[utoipa::path(get, path = "/api/v1/status", tag = "questions", responses((status = OK, body = Status)))]
pub(super) async fn status(State(handle): State<Handle>) -> Result<Json<Status>, Stopped> {
    handle.status().await.map(Json)
}

/// The backends of all services.
#[utoipa::path(get, path = "/api/v1/backends", tag = "questions", responses((status = OK, body = Vec<ListedBackend>)))]
pub(super) async fn backends(State(handle): State<Handle>) -> Result<Json<Vec<ListedBackend>>, Stopped> {
    handle
        .statistics()
        .await
        .map(|statistics| Json(statistics.listed_backends()))
}

/// A page of the flow table.
#[utoipa::path(
    get,
    path = "/api/v1/flows",
    tag = "questions",
    params(flows::Query),
    responses((status = OK, body = FlowPage), (status = BAD_REQUEST, body = Refusal), (status = NOT_FOUND, body = Refusal))
)]
pub(super) async fn flow_page(
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

/// Which backend a flow would go to, and why.
#[utoipa::path(
    get,
    path = "/api/v1/lookup",
    tag = "questions",
    params(LookUp),
    responses((status = OK, body = Found), (status = BAD_REQUEST, body = Refusal))
)]
pub(super) async fn look_up(
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

/// What saving would change in the file.
#[derive(Serialize, ToSchema)]
pub(super) struct Difference {
    /// In the form of `diff -u`; empty: nothing.
    difference: String,
}

/// What saving would change in the file.
#[utoipa::path(
    get,
    path = "/api/v1/diff",
    tag = "questions",
    responses((status = OK, body = Difference), (status = CONFLICT, body = Refusal))
)]
pub(super) async fn difference(State(handle): State<Handle>) -> Result<Json<Difference>, Response> {
    let difference = handle.difference().await.map_err(IntoResponse::into_response)?;
    match difference {
        Ok(difference) => Ok(Json(Difference { difference })),
        Err(reason) => Err(error(StatusCode::CONFLICT, &reason.to_string())),
    }
}

/// How much of the journal.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Latest {
    /// At most so many entries.
    #[serde(default = "Latest::usual")]
    count: usize,
}

impl Latest {
    fn usual() -> usize {
        100
    }
}

/// Who changed what, the latest last.
#[utoipa::path(
    get,
    path = "/api/v1/journal",
    tag = "questions",
    params(Latest),
    responses((status = OK, body = Vec<Entry>), (status = BAD_REQUEST, body = Refusal))
)]
pub(super) async fn journal(
    State(handle): State<Handle>,
    query: Result<Query<Latest>, QueryRejection>,
) -> Result<Json<Vec<Entry>>, Response> {
    let Query(Latest { count }) = query.map_err(misunderstood)?;
    let entries = handle.journal(count).await.map_err(IntoResponse::into_response)?;
    entries.map(Json).map_err(|reason| {
        let line = format!("cannot read the journal: {reason}");
        error(StatusCode::INTERNAL_SERVER_ERROR, &line)
    })
}
