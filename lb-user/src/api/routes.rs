//! Which question or order is at which path; the document that says so is made of the same list.

use axum::{Json, Router, routing::get};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi, SecurityRequirement,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer,
    orders::{change, kill, reload, roll_back, save, stop},
    questions::{backends, difference, flow_page, journal, look_up, metrics, statistics, status, values},
};
use crate::daemon::Handle;

/// Where the document is.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// What is the same for all of it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Ballast",
        description = "Questions and orders to a running balancer. The control socket has all of it; the stats address all but \
                       `stop`, orders for users with role admin alone, as JSON."
    ),
    tags(
        (name = "questions", description = "They change nothing."),
        (name = "orders", description = "They change something; the journal says who did."),
    )
)]
struct Common;

/// The questions that change nothing, with an answer of its own for whatever else is asked.
pub(super) fn questions(handle: Handle) -> Router {
    let document = document();
    let (router, _) = every_question().with_state(handle).split_for_parts();
    router
        .route(DOCUMENT, get(async move || Json(document)))
        .fallback(answer::nothing)
}

/// The orders that change what runs.
pub(super) fn orders(handle: Handle) -> Router {
    let (router, _) = every_order().with_state(handle).split_for_parts();
    router
}

/// All of it, for whoever may open the control socket.
pub(super) fn everything(handle: Handle) -> Router {
    let (stop, _) = the_end().with_state(handle.clone()).split_for_parts();
    questions(handle.clone()).merge(orders(handle)).merge(stop)
}

/// What can be asked and ordered, by the rules of `OpenAPI` 3.1.
fn document() -> OpenApi {
    let all = OpenApiRouter::with_openapi(Common::openapi())
        .merge(every_question())
        .merge(every_order())
        .merge(the_end());
    let mut document = all.into_openapi();
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("basic", basic);
    // On loopback and over the control socket none is needed.
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new::<_, [&str; 0], &str>("basic", []),
    ]);
    document
}

fn every_question() -> OpenApiRouter<Handle> {
    OpenApiRouter::new()
        .routes(routes!(metrics))
        .routes(routes!(statistics))
        .routes(routes!(values))
        .routes(routes!(status))
        .routes(routes!(backends))
        .routes(routes!(flow_page))
        .routes(routes!(look_up))
        .routes(routes!(difference))
        .routes(routes!(journal))
}

fn every_order() -> OpenApiRouter<Handle> {
    OpenApiRouter::new()
        .routes(routes!(kill))
        .routes(routes!(change))
        .routes(routes!(reload))
        .routes(routes!(save))
        .routes(routes!(roll_back))
}

fn the_end() -> OpenApiRouter<Handle> {
    OpenApiRouter::new().routes(routes!(stop))
}
