//! Which question or order is at which path; the document that says so is made of the same list.

use axum::{Json, Router, routing::get};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, ResponseBuilder, SecurityRequirement,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer, orders, questions};
use crate::daemon::Handle;

/// Where the document is.
const DOCUMENT: &str = "/api/v1/openapi.json";

/// What may be answered to anything, with why: doors and the daemon's end come before questions and orders.
const REFUSALS: [(&str, &str); 7] = [
    ("400", "It cannot be understood."),
    ("401", "Nobody has logged in who may come in."),
    ("403", "The user may not, or another site's page has asked."),
    ("415", "An order over the stats address is not JSON."),
    ("421", "It asks for this host by a name that need not be its own."),
    ("429", "Too many log-ins have failed."),
    ("503", "The daemon is stopping."),
];

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
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            for (status, description) in REFUSALS {
                let refusal = Content::new(Some(Ref::from_schema_name("Refusal")));
                let response = ResponseBuilder::new().description(description);
                let response = response.content("application/json", refusal).build();
                let responses = &mut operation.responses.responses;
                responses
                    .entry(status.to_owned())
                    .or_insert_with(|| response.into());
            }
        }
    }
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
        .routes(routes!(questions::metrics))
        .routes(routes!(questions::statistics))
        .routes(routes!(questions::values))
        .routes(routes!(questions::status))
        .routes(routes!(questions::backends))
        .routes(routes!(questions::flow_page))
        .routes(routes!(questions::look_up))
        .routes(routes!(questions::difference))
        .routes(routes!(questions::journal))
}

fn every_order() -> OpenApiRouter<Handle> {
    OpenApiRouter::new()
        .routes(routes!(orders::kill))
        .routes(routes!(orders::change))
        .routes(routes!(orders::reload))
        .routes(routes!(orders::save))
        .routes(routes!(orders::roll_back))
        .routes(routes!(orders::trace))
        .routes(routes!(orders::capture))
}

fn the_end() -> OpenApiRouter<Handle> {
    OpenApiRouter::new().routes(routes!(orders::stop))
}
