//! Checks over HTTP: each option.

use std::fs;

use super::{
    servers::{answering, server},
    *,
};

/// The request that a check sends.
async fn request(check: &str) -> String {
    let (heard, mut requests) = mpsc::channel(1);
    let address = server(move |mut stream| {
        let heard = heard.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            let _ = heard.send(String::from_utf8(request).unwrap()).await;
        }
    })
    .await;
    assert_eq!(
        result(address, &format!("type = \"http\"\n{check}")).await,
        ok("HTTP 200")
    );
    let request = time::timeout(LIMIT, requests.recv()).await.unwrap().unwrap();
    request.replace(&address.to_string(), "HERE")
}

#[tokio::test]
async fn http_method_and_target() {
    let expected = "HEAD /ready?a=1 HTTP/1.1\r\nHost: HERE\r\nConnection: close\r\n\r\n";
    assert_eq!(
        request("method = \"HEAD\"\ntarget = \"/ready?a=1\"").await,
        expected
    );
}

#[tokio::test]
async fn http_version() {
    let expected = "GET / HTTP/1.0\r\nHost: HERE\r\nConnection: close\r\n\r\n";
    assert_eq!(request("version = \"1.0\"").await, expected);
}

#[tokio::test]
async fn http_headers() {
    let expected = "GET / HTTP/1.1\r\nConnection: close\r\nHost: www\r\n\r\n";
    assert_eq!(request("headers = [\"Host: www\"]").await, expected);
}

/// As it stands in `haproxy.cfg`, and with its escapes written out.
#[tokio::test]
async fn http_request() {
    let expected = "OPTIONS * HTTP/1.1\r\nConnection: close\r\nHost: www\r\n\r\n";
    assert_eq!(
        request(r"request = 'OPTIONS * HTTP/1.1\r\nHost:\ www'").await,
        expected
    );
    assert_eq!(
        request("request = \"OPTIONS * HTTP/1.1\\r\\nHost: www\"").await,
        expected
    );
}

#[tokio::test]
async fn http_status() {
    let check = "type = \"http\"\nstatus = [\"200-204\", 401]";
    for (status, expected) in [
        (200, ok("HTTP 200")),
        (204, ok("HTTP 204")),
        (401, ok("HTTP 401")),
        (205, failed("HTTP 205")),
        (500, failed("HTTP 500")),
    ] {
        let address = answering(format!("HTTP/1.1 {status} x\r\n\r\n")).await;
        assert_eq!(result(address, check).await, expected);
    }
}

#[tokio::test]
async fn http_body() {
    let check = "type = \"http\"\nbody = \"\\\"state\\\":\\\"UP\\\"\"";
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"state\":\"UP\"}",
            ok("HTTP 200"),
        ),
        (
            "HTTP/1.1 200 OK\r\nX: \"state\":\"UP\"\r\n\r\n{}",
            failed("HTTP 200 without the expected body"),
        ),
        ("HTTP/1.1 503 No\r\n\r\n{\"state\":\"UP\"}", failed("HTTP 503")),
    ] {
        assert_eq!(result(answering(answer).await, check).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn http_user_and_password_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "geheim\nnot this\n").unwrap();
    let request = request(&format!("user = \"lb\"\npassword_file = {:?}", file.path())).await;
    assert!(
        request.contains("\r\nAuthorization: Basic bGI6Z2VoZWlt\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn http_password_env() {
    // The package's own name, which cargo puts into the environment of tests.
    let request = request("user = \"lb\"\npassword_env = \"CARGO_PKG_NAME\"").await;
    assert!(
        request.contains("\r\nAuthorization: Basic bGI6bGItdXNlcg==\r\n"),
        "{request}"
    );
}
