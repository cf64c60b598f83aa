//! The stats page, its files, and what its forms order.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension, Router,
    extract::{State, rejection::FormRejection},
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::get,
};
use sha2::{Digest as _, Sha256};
use tracing::error;

use super::{
    answer,
    login::{LoggedIn, Logins},
    peer::Who,
    questions,
};
use crate::{
    config::types::{Role, Stats},
    daemon::{Handle, Order},
    runtime::{Admin, Change},
    stats::{ASSETS, Action, Confirmation, Form, Page, base},
};

/// What the page is made with.
#[derive(Clone)]
struct Place {
    settings: Arc<Stats>,
    handle: Handle,
    logins: Arc<Logins>,
}

/// The page, its other forms as `HAProxy` has them beside its own, and its files.
pub(super) fn routes(settings: Stats, handle: Handle, logins: Arc<Logins>) -> Router {
    let uri = settings.uri.clone();
    let [values, document] = ["csv", "json"].map(|form| format!("{uri};{form}"));
    let mut router = Router::new()
        .route(&values, get(questions::values))
        .route(&document, get(questions::statistics))
        .with_state(handle.clone());
    for asset in ASSETS {
        let path = format!("{}/assets/{}", base(&settings), asset.name);
        let answer = ([(header::CONTENT_TYPE, asset.kind)], asset.text);
        router = router.route(&path, get(async move || answer));
    }
    let place = Place {
        settings: Arc::new(settings),
        handle,
        logins,
    };
    let page = Router::new().route(&uri, get(page).post(act)).with_state(place);
    router.merge(page)
}

async fn page(State(place): State<Place>, user: Option<Extension<LoggedIn>>) -> Response {
    let statistics = match place.handle.statistics().await {
        Ok(statistics) => statistics,
        Err(stopped) => return stopped.into_response(),
    };
    let admin = user.filter(|user| user.role == Role::Admin);
    let token = admin.map(|admin| place.logins.token(&admin));
    drawn(
        StatusCode::OK,
        &Page::new(&statistics, &place.settings, token.as_deref()),
    )
}

/// Does what a form says, once somebody was asked.
async fn act(
    State(place): State<Place>,
    Extension(user): Extension<LoggedIn>,
    who: Who,
    form: Result<axum::Form<Form>, FormRejection>,
) -> Response {
    let axum::Form(form) = match form {
        Ok(form) => form,
        Err(rejection) => return answer::error(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    // Compared by their hashes, which takes as long whatever is wrong with it.
    if Sha256::digest(&form.token) != Sha256::digest(place.logins.token(&user)) {
        return place.says(
            StatusCode::FORBIDDEN,
            "This form is not of this page, or is too old.",
            None,
        );
    }
    let Some(change) = change(&form) else {
        return place.says(
            StatusCode::BAD_REQUEST,
            "The weight is not a number from 0 to 256.",
            None,
        );
    };
    if form.confirmed != "yes" {
        return place.says(StatusCode::OK, &format!("{change}: do it?"), Some(&form));
    }
    match place.handle.configure(Order::Change(change), who.0).await {
        Ok(Ok(_)) => Redirect::to(&place.settings.uri).into_response(),
        Ok(Err(reason)) => place.says(StatusCode::CONFLICT, &reason.to_string(), None),
        Err(stopped) => stopped.into_response(),
    }
}

fn change(form: &Form) -> Option<Change> {
    let (service, backend) = (form.service.clone(), form.backend.clone());
    let state = match form.action {
        Action::Ready => Admin::Ready,
        Action::Drain => Admin::Drain,
        Action::Maint => Admin::Maint,
        Action::Weight => {
            let weight = form.weight.parse().ok()?;
            return Some(Change::Weight {
                service,
                backend,
                weight,
            });
        }
    };
    Some(Change::State {
        service,
        backend,
        state,
    })
}

impl Place {
    /// A page that asks or says one thing.
    fn says(&self, status: StatusCode, question: &str, form: Option<&Form>) -> Response {
        let page = Confirmation {
            title: &self.settings.realm,
            uri: &self.settings.uri,
            question,
            form,
        };
        drawn(status, &page)
    }
}

fn drawn(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => {
            error!(%error, "the stats page could not be drawn");
            answer::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be drawn; the log says why",
            )
        }
    }
}
