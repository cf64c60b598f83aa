//! What all answers have in common.

use std::fmt::Display;

use axum::{
    Json,
    extract::rejection::QueryRejection,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::daemon::Stopped;

/// Why something was not answered or done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Refusal {
    /// In one line: what, and what to do.
    error: String,
}

/// An error as the API says it: a status and one line.
pub(super) fn error(status: StatusCode, line: &str) -> Response {
    let error = line.to_owned();
    (status, Json(Refusal { error })).into_response()
}

/// A text of a content type of its own.
pub(super) fn text(kind: &'static str, text: Result<String, impl Display>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(reason) => {
            tracing::error!(%reason, "an answer could not be written");
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written; the log says why",
            )
        }
    }
}

/// Arguments that say nothing.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
pub(super) fn misunderstood(rejection: QueryRejection) -> Response {
    error(StatusCode::BAD_REQUEST, &rejection.body_text())
}

/// The answer where there is nothing.
pub(super) async fn nothing() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "there is nothing here; the API is under /api/v1",
    )
}

impl IntoResponse for Stopped {
    fn into_response(self) -> Response {
        error(StatusCode::SERVICE_UNAVAILABLE, &self.to_string())
    }
}
