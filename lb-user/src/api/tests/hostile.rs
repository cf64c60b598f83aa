//! Requests that nobody sends who means well: each is refused, and the next one that is honest is answered.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::*;

/// Far beyond what any answer takes.
const LIMIT: Duration = Duration::from_secs(30);

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let get = |rest: &str| format!("GET {rest}").into_bytes();
    let headers = "x: y\r\n".repeat(10_000);
    let host = "HTTP/1.1\r\nhost: localhost\r\n";
    vec![
        (
            "a header of a megabyte",
            get(&format!("/lb/stats {host}x: {}\r\n\r\n", "y".repeat(1 << 20))),
        ),
        (
            "ten thousand headers",
            get(&format!("/lb/stats {host}{headers}\r\n")),
        ),
        (
            "a path of a megabyte",
            get(&format!("/{} {host}\r\n", "y".repeat(1 << 20))),
        ),
        (
            "a way up",
            get(&format!("/lb/stats/../../../etc/passwd {host}\r\n")),
        ),
        (
            "a way up in disguise",
            get(&format!(
                "/lb/stats/assets/%2e%2e%2f%2e%2e%2fetc/passwd {host}\r\n"
            )),
        ),
        ("a path with a NUL", get(&format!("/lb/stats\0 {host}\r\n"))),
        (
            "another host's URL",
            get(&format!(
                "http://evil.example/lb/stats {}\r\n",
                "HTTP/1.1\r\nhost: evil.example\r\n"
            )),
        ),
        (
            "a version that there is not",
            get("/lb/stats HTTP/9.9\r\nhost: localhost\r\n\r\n"),
        ),
        (
            "the beginning of TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "a body without end",
            format!("POST /api/v1/changes {host}content-length: 99999999999999\r\n\r\n").into_bytes(),
        ),
        (
            "two lengths",
            format!("POST /api/v1/changes {host}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef")
                .into_bytes(),
        ),
        (
            "no length at all",
            format!("POST /api/v1/changes {host}transfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        ),
        (
            "a method that there is not",
            format!("BREW /lb/stats {host}\r\n").into_bytes(),
        ),
    ]
}

#[tokio::test]
async fn hostile_requests_are_refused_and_honest_ones_answered() {
    let server = stats_server(daemon(), &CancellationToken::new()).await;
    for (what, bytes) in hostile() {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        // It may close before it has read all of it.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect(what);
        let answer = String::from_utf8_lossy(&answer);
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(refused, "{what}: {answer}");
        assert!(!answer.contains("root:"), "{what}: {answer}");
        let honest = reqwest::get(format!("http://{}/lb/stats", server.address())).await;
        assert_eq!(honest.expect(what).status(), StatusCode::OK, "{what}");
    }
}

#[tokio::test]
async fn who_begins_and_does_not_end_keeps_nobody_waiting() {
    let server = stats_server(daemon(), &CancellationToken::new()).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream
            .write_all(b"GET /lb/stats HTTP/1.1\r\nhost: loc")
            .await
            .expect("it is taken");
        slow.push(stream);
    }
    let honest = reqwest::get(format!("http://{}/lb/stats", server.address()));
    let honest = timeout(LIMIT, honest)
        .await
        .expect("it is answered")
        .expect("an answer");
    assert_eq!(honest.status(), StatusCode::OK);
}
