//! What the API answers.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    daemon::{Handle, Status, Stopped},
    stats::{ListedBackend, Statistics},
};

/// The questions that change nothing, with an answer of its own for whatever else is asked.
pub(super) fn questions(handle: Handle) -> Router {
    Router::new()
        .route("/api/v1/stats", get(statistics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/backends", get(backends))
        .fallback(nothing)
        .with_state(handle)
}

async fn statistics(State(handle): State<Handle>) -> Result<Json<Statistics>, Stopped> {
    handle.statistics().await.map(Json)
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
