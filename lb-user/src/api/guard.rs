//! What protects the stats address from the browsers that may reach it.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::answer::error;
use crate::stats::CONTENT_SECURITY_POLICY;

/// Answers only requests made to this host by a name that can only mean this host.
///
/// A page elsewhere can point its own name at 127.0.0.1 (DNS rebinding) and so read what the browser may reach;
/// the `Host` header still carries that name.
pub(super) async fn local_names_only(request: Request, next: Next) -> Response {
    if names_this_host(request.headers()) {
        return next.run(request).await;
    }
    error(
        StatusCode::MISDIRECTED_REQUEST,
        "ask for localhost, 127.0.0.1 or [::1]",
    )
}

/// Adds the headers that keep browsers from doing anything but showing the answer.
pub(super) async fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With none at all, browsers would not say either that a form is this site's own.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

fn names_this_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(Ok(authority)) = host.map(str::parse::<Authority>) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(host: &'static str) -> bool {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        names_this_host(&headers)
    }

    #[test]
    fn only_names_of_this_host_are_accepted() {
        for host in [
            "localhost",
            "LOCALHOST:1080",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:1080",
        ] {
            assert!(accepted(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:1080",
            "10.0.0.1",
            "[fd00::1]:80",
            "a b",
            "0.0.0.0",
        ] {
            assert!(!accepted(host), "{host}");
        }
        assert!(!names_this_host(&HeaderMap::new()), "no Host at all");
    }
}
