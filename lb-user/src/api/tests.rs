//! The API as its users see it: over a Unix socket and over TCP, with a daemon's loop that answers samples.

mod document;
mod hostile;
mod login;

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    config::types::Stats,
    control::{FilterError, Found, LookUp, LookUpError},
    daemon::{
        Applied, AttachedInterface, ConfigureError, Ending, FlowsError, Handle, Order, Request, Status,
        Stopping, WatchError,
    },
    flows::{self, FlowPage, KillError},
    runtime::{Entry, RuntimeError},
    stats::{ListedBackend, Statistics, sample},
    trace::Watch,
};

/// A daemon's loop that answers with samples for as long as it is asked.
fn daemon() -> Handle {
    let (handle, mut requests) = Handle::new();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            // The asker may be gone, as with the real loop.
            let _ = match request {
                Request::Statistics(answer) => answer.send(sample::statistics()).is_ok(),
                Request::Status(answer) => answer.send(status()).is_ok(),
                Request::Flows(query, answer) => answer.send(flow_page(query)).is_ok(),
                Request::Kill(flow, answer) => answer.send(Err(KillError::NoFlow(flow))).is_ok(),
                Request::LookUp(flow, answer) => answer.send(looked_up(&flow)).is_ok(),
                Request::Configure(order, who, answer) => answer.send(configured(&order, &who)).is_ok(),
                Request::Difference(answer) => answer.send(Ok("-a\n+b\n".to_owned())).is_ok(),
                Request::Journal(count, answer) => answer.send(Ok(journal(count))).is_ok(),
                Request::Watch(watch, _, answer) => answer.send(Err(unknown(&watch))).is_ok(),
                Request::Stop(ending, answer) => answer.send(Ok(stopping(ending))).is_ok(),
            };
        }
    });
    handle
}

fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        pid: 42,
        uptime_seconds: 7,
        dataplane: "xdp".to_owned(),
        interfaces: vec![AttachedInterface {
            name: "eth0".to_owned(),
            mode: "xdp".to_owned(),
            attached: true,
            why: None,
        }],
        stats: None,
        services_up: 0,
        services_degraded: 1,
        services_down: 0,
    }
}

/// A page on which a daemon that knows the service `fe` alone says what it was asked.
fn flow_page(query: flows::Query) -> Result<FlowPage, FlowsError> {
    match query.service {
        Some(service) if service != "fe" => Err(FlowsError::NoService(service)),
        _ => Ok(FlowPage {
            total: query.limit() as u64,
            flows: Vec::new(),
            next: query.from,
        }),
    }
}

/// A daemon that sends all of them to one backend.
fn looked_up(flow: &LookUp) -> Result<Found, LookUpError> {
    match flow.protocol.as_str() {
        "tcp" => Ok(Found {
            service: Some("fe".to_owned()),
            backend: Some("fe/node1".to_owned()),
            address: Some(flow.to),
            why: "there is no other".to_owned(),
            candidates: Vec::new(),
        }),
        other => Err(LookUpError::Protocol(other.to_owned())),
    }
}

/// A daemon that has nothing to watch.
fn unknown(watch: &Watch) -> WatchError {
    let service = watch.filter.service.clone();
    FilterError::NoService(service.unwrap_or_default()).into()
}

/// A daemon that can do all but save.
fn configured(order: &Order, who: &str) -> Result<Applied, ConfigureError> {
    match order {
        Order::Save => Err(RuntimeError::ChangedOnDisk("/etc/ballast.toml".into()).into()),
        order => Ok(Applied {
            changed: vec![format!("{who}: {order:?}")],
            ..Applied::default()
        }),
    }
}

fn journal(count: usize) -> Vec<Entry> {
    let entry = Entry {
        at: "2026-01-02T03:04:05Z".to_owned(),
        who: "root".to_owned(),
        what: "fe/node1 drain".to_owned(),
    };
    vec![entry; count.min(2)]
}

fn stopping(ending: Ending) -> Stopping {
    Stopping {
        keeps: ending == Ending::Keep,
        interfaces: vec!["eth0".to_owned()],
    }
}

fn settings(uri: &str) -> Stats {
    Stats {
        bind: "127.0.0.1:0".parse().expect("an address"),
        uri: uri.to_owned(),
        hide_version: false,
        realm: "Ballast".to_owned(),
        users: Vec::new(),
        tls: None,
    }
}

async fn stats_server(handle: Handle, shutdown: &CancellationToken) -> Server<SocketAddr> {
    serve_stats(settings("/lb/stats"), handle, shutdown.clone())
        .await
        .expect("a free port on loopback")
}

fn over_socket(path: &Path) -> reqwest::Client {
    reqwest::Client::builder()
        .unix_socket(path)
        .build()
        .expect("a client")
}

/// A server on a socket, with the directory that it is in; and who asks it.
async fn socket_server() -> ((TempDir, Server<PathBuf>), reqwest::Client) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    let server = serve_socket(&path, None, daemon(), CancellationToken::new())
        .await
        .expect("a socket");
    let client = over_socket(&path);
    ((directory, server), client)
}

async fn refusal(path: &Path) -> String {
    let refused = serve_socket(path, None, daemon(), CancellationToken::new()).await;
    refused.expect_err("it should be refused").to_string()
}

#[tokio::test]
async fn the_socket_answers_every_question() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made/for/it/ballast.sock");
    let shutdown = CancellationToken::new();
    let server = serve_socket(&path, None, daemon(), shutdown.clone())
        .await
        .expect("a socket");
    let mode = path.metadata().expect("the socket's file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o660, "{mode:o}");

    let client = over_socket(&path);
    let ask = async |question: &str| {
        client
            .get(format!("http://ballast/api/v1/{question}"))
            .send()
            .await
            .expect("an answer")
    };
    let statistics: Statistics = ask("stats").await.json().await.expect("statistics");
    assert_eq!(statistics, sample::statistics());
    assert_eq!(
        ask("status").await.json::<Status>().await.expect("a status"),
        status()
    );
    let backends: Vec<ListedBackend> = ask("backends").await.json().await.expect("backends");
    assert_eq!(backends, sample::statistics().listed_backends());
    let nothing = ask("nothing").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert!(nothing.json::<Value>().await.expect("an error")["error"].is_string());

    shutdown.cancel();
    server.finished().await;
    assert!(!path.exists(), "the socket is removed at the end");
}

#[tokio::test]
async fn the_document_has_the_shape_that_is_promised() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    let _server = serve_socket(&path, None, daemon(), CancellationToken::new())
        .await
        .expect("a socket");
    let answer = over_socket(&path)
        .get("http://ballast/api/v1/stats")
        .send()
        .await
        .expect("an answer");
    let document: Value = answer.json().await.expect("a document");
    assert_eq!(document["packets"]["verdicts"]["redirect"], 1_000_000);
    assert_eq!(document["packets"]["reasons"]["no_backend"], 7);
    let service = &document["services"][0];
    assert_eq!(
        (&service["state"], &service["flows_active"]),
        (&"degraded".into(), &60.into())
    );
    assert_eq!(
        service["bind"],
        Value::from(vec!["10.0.0.100:9030", "[fd00::100]:9030"])
    );
    let backend = &service["backends"][0];
    assert_eq!(
        (&backend["address"], &backend["bytes_in"]),
        (&"10.0.0.80:9030".into(), &987_654_321.into())
    );
    assert_eq!(backend["check"]["detail"], "HTTP 200");
}

#[tokio::test]
async fn flows_are_asked_for_by_service_and_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    let _server = serve_socket(&path, None, daemon(), CancellationToken::new())
        .await
        .expect("a socket");
    let ask = async |arguments: &str| {
        let url = format!("http://ballast/api/v1/flows{arguments}");
        let answer = over_socket(&path).get(url).send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json::<Value>().await.expect("a document"))
    };
    let (status, page) = ask("?service=fe&limit=7&from=99").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page, json!({ "total": 7, "flows": [], "next": 99 }));
    let (_, page) = ask("?limit=99999999").await;
    assert_eq!(page["total"], flows::Query::MOST, "a page has an end");
    let (status, refusal) = ask("?service=fee").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        refusal["error"],
        "there is no service `fee`; `ballast stats` lists those there are"
    );
    for wrong in ["?limit=many", "?sort=age"] {
        let (status, refusal) = ask(wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refusal}");
        assert!(refusal["error"].is_string(), "{refusal}");
    }
}

#[tokio::test]
async fn a_flow_is_looked_up_and_killed_by_what_is_said_of_it() {
    let (_socket, client) = socket_server().await;
    let lookup = "http://ballast/api/v1/lookup?from=10.0.0.1:5&to=10.0.0.100:9030";
    for (arguments, status, said) in [
        ("", StatusCode::OK, json!("fe/node1")),
        ("&protocol=sctp", StatusCode::BAD_REQUEST, json!(null)),
        ("&port=5", StatusCode::BAD_REQUEST, json!(null)),
    ] {
        let answer = client
            .get(format!("{lookup}{arguments}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), status, "{arguments}");
        assert_eq!(answer.json::<Value>().await.expect("a document")["backend"], said);
    }
    for (id, status) in [("3f-2", StatusCode::NOT_FOUND), ("3f", StatusCode::BAD_REQUEST)] {
        let order = client.post(format!("http://ballast/api/v1/flows/{id}/kill"));
        let answer = order.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{id}");
        let refusal: Value = answer.json().await.expect("a refusal");
        assert!(
            refusal["error"].as_str().is_some_and(|line| line.contains(id)),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn the_configuration_is_changed_in_the_name_of_who_asked() {
    let (_socket, client) = socket_server().await;
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .expect("users")
        .expect("one");
    let order = async |path: &str, body: Value| {
        let request = client.post(format!("http://ballast/api/v1/{path}")).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.expect("a document"))
    };
    let drain = json!({ "change": "state", "service": "fe", "backend": "node1", "state": "drain" });
    let (status, applied) = order("changes", drain).await;
    assert_eq!(status, StatusCode::OK, "{applied}");
    let line = applied["changed"][0].as_str().expect("a line");
    assert!(line.starts_with(&format!("{}: Change(State", me.name)), "{line}");
    for wrong in [
        json!({ "change": "state" }),
        json!({ "change": "stat" }),
        json!(5),
    ] {
        assert_eq!(order("changes", wrong).await.0, StatusCode::BAD_REQUEST);
    }
    for done in ["reload", "rollback"] {
        assert_eq!(order(done, json!(null)).await.0, StatusCode::OK, "{done}");
    }
    let (status, refused) = order("save", json!(null)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|line| line.contains("/etc/ballast.toml")),
        "{refused}"
    );
    let ask = async |path: &str| {
        let answer = client.get(format!("http://ballast/api/v1/{path}")).send().await;
        answer
            .expect("an answer")
            .json::<Value>()
            .await
            .expect("a document")
    };
    assert_eq!(ask("diff").await, json!({ "difference": "-a\n+b\n" }));
    assert_eq!(ask("journal?count=1").await[0]["what"], "fe/node1 drain");
}

#[tokio::test]
async fn only_the_socket_takes_orders() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    let shutdown = CancellationToken::new();
    let _socket = serve_socket(&path, None, daemon(), shutdown.clone())
        .await
        .expect("a socket");
    let order = async |arguments: &str| {
        let url = format!("http://ballast/api/v1/stop{arguments}");
        over_socket(&path).post(url).send().await.expect("an answer")
    };
    for (arguments, ending) in [
        ("", Ending::Detach),
        ("?keep=false", Ending::Detach),
        ("?keep=true", Ending::Keep),
    ] {
        let said: Stopping = order(arguments).await.json().await.expect("an answer");
        assert_eq!(said, stopping(ending), "{arguments}");
    }
    assert_eq!(order("?keep=perhaps").await.status(), StatusCode::BAD_REQUEST);

    let stats = stats_server(daemon(), &shutdown).await;
    let url = format!("http://{}/api/v1/stop", stats.address());
    let refused = reqwest::Client::new().post(url).send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "nobody is a user");
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    let shutdown = CancellationToken::new();
    let first = serve_socket(&path, None, daemon(), shutdown.clone())
        .await
        .expect("a socket");
    let said = refusal(&path).await;
    assert!(said.contains("belongs to a daemon that is running"), "{said}");
    let answer = over_socket(&path)
        .get("http://ballast/api/v1/status")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "the first still answers");
    shutdown.cancel();
    first.finished().await;

    let foreign = directory.path().join("other.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&foreign).expect("a socket");
    assert!(
        refusal(&foreign)
            .await
            .contains("belongs to a daemon that is running"),
        "without a lock"
    );
}

#[tokio::test]
async fn only_what_a_dead_daemon_left_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ballast.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "as after a crash");
    serve_socket(&path, None, daemon(), CancellationToken::new())
        .await
        .expect("the stale socket is replaced");

    let file = directory.path().join("file");
    std::fs::write(&file, "precious").expect("a file");
    assert!(refusal(&file).await.contains("is not a socket"));
    assert_eq!(std::fs::read(&file).expect("the file"), b"precious");
    let beneath = refusal(&file.join("ballast.sock")).await;
    assert!(beneath.starts_with("cannot listen on"), "{beneath}");
}

#[tokio::test]
async fn the_stats_address_shows_the_page_and_answers_questions() {
    let shutdown = CancellationToken::new();
    let server = stats_server(daemon(), &shutdown).await;
    let base = format!("http://{}", server.address());
    let page = reqwest::get(format!("{base}/lb/stats")).await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(page.text().await.expect("a page").contains("node1"));
    let statistics: Statistics = reqwest::get(format!("{base}/api/v1/stats"))
        .await
        .expect("an answer")
        .json()
        .await
        .expect("statistics");
    assert_eq!(statistics, sample::statistics());
    assert_eq!(
        reqwest::get(format!("{base}/stats"))
            .await
            .expect("an answer")
            .status(),
        StatusCode::NOT_FOUND
    );
    let posted = reqwest::Client::new()
        .post(format!("{base}/api/v1/stats"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(posted.status(), StatusCode::FORBIDDEN);

    shutdown.cancel();
    server.finished().await;
    assert!(
        reqwest::get(format!("{base}/lb/stats")).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn the_same_figures_come_in_every_form() {
    let server = stats_server(daemon(), &CancellationToken::new()).await;
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", server.address())).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let kind = answer.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .to_owned();
        (kind, answer.text().await.expect("a text"))
    };
    let (kind, metrics) = ask("/metrics").await;
    assert_eq!(kind, "text/plain; version=0.0.4");
    let bytes = r#"ballast_backend_bytes_total{backend="node1",direction="in",service="fe"} 987654321"#;
    assert!(metrics.lines().any(|line| line == bytes), "{metrics}");
    for path in ["/lb/stats;csv", "/api/v1/stats.csv"] {
        let (kind, table) = ask(path).await;
        assert_eq!(kind, "text/csv; charset=utf-8", "{path}");
        assert!(table.starts_with("# pxname,svname,"), "{table}");
    }
    let (_, document) = ask("/lb/stats;json").await;
    let document: Statistics = serde_json::from_str(&document).expect("statistics");
    assert_eq!(document, sample::statistics());
}

#[tokio::test]
async fn every_answer_on_the_stats_address_is_guarded() {
    let server = stats_server(daemon(), &CancellationToken::new()).await;
    let client = reqwest::Client::new();
    for path in ["/lb/stats", "/api/v1/stats", "/nothing"] {
        let request = client.get(format!("http://{}{path}", server.address()));
        let rebound = request
            .try_clone()
            .expect("no body")
            .header(header::HOST, "evil.example");
        let refused = rebound.send().await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        for answer in [request.send().await.expect("an answer"), refused] {
            let headers = answer.headers();
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
            assert!(
                policy.starts_with("default-src 'none'; style-src 'sha256-"),
                "{path}: {policy}"
            );
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn a_stats_address_in_use_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bind = taken.local_addr().expect("an address");
    let refused = serve_stats(
        Stats {
            bind,
            ..settings("/")
        },
        daemon(),
        CancellationToken::new(),
    )
    .await;
    assert_eq!(
        refused.expect_err("the address is taken").to_string(),
        format!(
            "cannot serve the stats page on {bind}: Address already in use (os error 98); change `bind` in [stats]"
        )
    );
}

#[tokio::test]
async fn a_daemon_that_stops_is_said_to_stop() {
    let (handle, requests) = Handle::new();
    drop(requests);
    let server = stats_server(handle, &CancellationToken::new()).await;
    for path in ["/lb/stats", "/api/v1/status"] {
        let answer = reqwest::get(format!("http://{}{path}", server.address()))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            answer.json::<Value>().await.expect("an error")["error"],
            "the daemon is stopping"
        );
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_does_not_hold_up_the_end() {
    let (handle, mut stuck) = Handle::new();
    let shutdown = CancellationToken::new();
    let server = stats_server(handle, &shutdown).await;
    let asked = tokio::spawn(reqwest::get(format!("http://{}/lb/stats", server.address())));
    let unanswered = stuck.recv().await.expect("the request arrives");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(30), server.finished())
        .await
        .expect("the server stops all the same");
    drop(unanswered);
    asked
        .await
        .expect("the client ends")
        .expect("an answer, if only that the daemon is stopping");
}
