//! Checks against real servers on loopback.

use std::{net::SocketAddr, num::NonZeroU16, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    time,
};

use self::servers::{answering, closed_port, server};
use super::*;
use crate::config::{
    self,
    types::{CheckKind, CheckSource, Exchange, Health, HttpCheck, HttpVersion},
};

mod agent;
mod exchange;
mod exec;
mod http;
mod https;
mod mysql;
mod mysql_server;
mod nasty;
mod servers;
mod starrocks;
mod words;

/// Far beyond what any of this takes.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn check(kind: CheckKind) -> Check {
    let inter = Duration::from_millis(20);
    Check {
        kind,
        inter,
        fastinter: inter,
        downinter: inter,
        rise: 2,
        fall: 3,
        timeout: Duration::from_secs(5),
        address: None,
        port: None,
        source: CheckSource::default(),
        vip: false,
        flaps: None,
        observe: None,
    }
}

fn tcp() -> Check {
    check(CheckKind::Tcp(Exchange::default()))
}

fn plain_http() -> Check {
    let (method, target) = ("GET".to_owned(), "/".to_owned());
    check(CheckKind::Http(HttpCheck {
        method,
        target,
        version: HttpVersion::V1_1,
        headers: vec![],
        login: None,
        status: vec![200..=399],
        body: Vec::new(),
        tls: None,
    }))
}

fn monitor(address: SocketAddr, check: Check) -> (Monitor, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(1);
    (
        Monitor::start(
            vec![Target {
                id: 7,
                address,
                check: check.into(),
                known: None,
                vip: None,
            }],
            &sender,
        ),
        events,
    )
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    time::timeout(LIMIT, events.recv())
        .await
        .expect("no check finished in time")
        .expect("the checks have ended")
}

/// The first result: (outcome, detail).
async fn first(address: SocketAddr, check: Check) -> (Outcome, String) {
    let (_monitor, mut events) = monitor(address, check);
    let event = next(&mut events).await;
    assert_eq!((event.id, event.changed), (7, true));
    assert_eq!(event.state, event.report.outcome.into());
    (event.report.outcome, event.report.detail.into_owned())
}

/// The check of this text, in a configuration.
fn written(check: &str) -> Check {
    written_for("", check)
}

/// The same in a service of which more is said.
fn written_for(service: &str, check: &str) -> Check {
    let text = format!(
        "[[service]]\nname = \"s\"\nbind = [\"192.0.2.1:1\"]\n{service}\n\
         backend = [{{ name = \"b\", address = \"192.0.2.9:1\" }}]\n[service.check]\n{check}\n"
    );
    let config = config::parse(&text, Path::new("test.toml")).expect("a good check");
    match &config.services[0].backends[0].health {
        Health::Checked(check) => (**check).clone(),
        tracked @ Health::Tracked { .. } => panic!("{tracked:?}"),
    }
}

/// The first result of the check of this text.
async fn result(address: SocketAddr, check: &str) -> (Outcome, String) {
    first(address, written(check)).await
}

fn ok(detail: &str) -> (Outcome, String) {
    (Outcome::Ok, detail.to_owned())
}

fn failed(detail: &str) -> (Outcome, String) {
    (Outcome::Failed, detail.to_owned())
}

#[tokio::test]
async fn tcp_needs_no_more_than_a_connection() {
    let address = server(|stream| async { drop(stream) }).await;
    assert_eq!(first(address, tcp()).await, ok("connected"));
    assert_eq!(
        first(closed_port().await, tcp()).await,
        failed("connection refused")
    );
}

#[tokio::test]
async fn tcp_over_ipv6() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    assert_eq!(
        first(listener.local_addr().unwrap(), tcp()).await,
        ok("connected")
    );
}

/// A reset would be logged by the server, or counted against us.
#[tokio::test]
async fn a_server_that_sends_more_than_is_read_sees_an_orderly_end() {
    let (ends, mut seen) = mpsc::channel(8);
    let address = server(move |mut stream| {
        let ends = ends.clone();
        async move {
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let body = "x".repeat(32 * 1024);
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes())
                .await
                .unwrap();
            let end = stream.read(&mut [0; 16]).await.map_err(|error| error.kind());
            let _ = ends.send(end).await;
        }
    })
    .await;
    let (_monitor, mut events) = monitor(address, plain_http());
    for _ in 0..5 {
        assert_eq!(next(&mut events).await.report.outcome, Outcome::Ok);
        assert_eq!(time::timeout(LIMIT, seen.recv()).await.unwrap(), Some(Ok(0)));
    }
}

#[tokio::test]
async fn http_statuses() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ok("HTTP 200")),
        ("HTTP/1.1 200 OK\r\n", ok("HTTP 200")),
        ("HTTP/1.0 399 \r\n\r\n", ok("HTTP 399")),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", failed("HTTP 503")),
        ("HTTP/1.1 199 \r\n\r\n", failed("HTTP 199")),
        ("SSH-2.0-x\r\n", failed("not an HTTP answer: SSH-2.0-x\\r\\n")),
        ("", failed("connection closed without an answer")),
    ] {
        assert_eq!(
            first(answering(answer).await, plain_http()).await,
            expected,
            "{answer:?}"
        );
    }
    assert_eq!(
        first(closed_port().await, plain_http()).await,
        failed("connection refused")
    );
}

/// As xinetd scripts do: nothing is read, so that the kernel resets the connection behind the answer.
#[tokio::test]
async fn an_answer_counts_although_the_request_was_never_read() {
    for answer in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK"] {
        let address = server(move |mut stream| async move {
            stream.readable().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        assert_eq!(first(address, plain_http()).await, ok("HTTP 200"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let huge: Vec<u8> = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 32 << 20]].concat();
    assert_eq!(first(answering(huge).await, plain_http()).await, ok("HTTP 200"));
    let endless_line = answering(vec![b'x'; 32 << 20]).await;
    let expected = format!("not an HTTP answer: {}", "x".repeat(40));
    assert_eq!(first(endless_line, plain_http()).await, failed(&expected));
}

#[tokio::test]
async fn the_timeout_bounds_the_whole_check() {
    let timeout = Duration::from_millis(200);
    let silent = server(|stream| async move {
        stream.writable().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let dripping = server(|mut stream| async move {
        while stream.write_all(b"H").await.is_ok() {
            time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for address in [silent, dripping] {
        let expected = failed("no answer within 200ms");
        assert_eq!(
            first(
                address,
                Check {
                    timeout,
                    ..plain_http()
                }
            )
            .await,
            expected
        );
    }
}

#[tokio::test]
async fn the_check_port_replaces_the_backends() {
    let checked = answering("HTTP/1.1 200 OK\r\n").await;
    let backend = SocketAddr::new(checked.ip(), 9);
    let port = NonZeroU16::new(checked.port());
    assert_eq!(
        first(backend, Check { port, ..plain_http() }).await,
        ok("HTTP 200")
    );
}

#[tokio::test]
async fn no_check_means_up_and_no_traffic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_monitor, mut events) = monitor(listener.local_addr().unwrap(), check(CheckKind::None));
    let event = next(&mut events).await;
    assert_eq!((event.state, event.changed), (State::Up, true));
    assert_eq!(
        time::timeout(LIMIT, events.recv()).await.unwrap(),
        None,
        "one report is all"
    );
    assert!(
        time::timeout(Duration::from_millis(50), listener.accept())
            .await
            .is_err(),
        "it was connected to"
    );
}

/// Down after `fall` failures, up again after `rise` successes, every result reported.
#[tokio::test]
async fn a_backend_goes_down_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_monitor, mut events) = monitor(address, tcp());
    assert_eq!(next(&mut events).await.state, State::Up);
    drop(listener);
    until(&mut events, Outcome::Failed, State::Down, 3).await;
    let _listener = TcpListener::bind(address).await.unwrap();
    until(&mut events, Outcome::Ok, State::Up, 2).await;
}

/// Expects `needed` results of one kind in a row, of which exactly the last changes the state.
async fn until(events: &mut mpsc::Receiver<Event>, outcome: Outcome, state: State, needed: u32) {
    let mut row = 0;
    loop {
        let event = next(events).await;
        row = if event.report.outcome == outcome {
            row + 1
        } else {
            0
        };
        assert_eq!(event.changed, row == needed, "{event:?} as number {row}");
        if event.changed {
            assert_eq!(event.state, state);
            return;
        }
    }
}

#[tokio::test]
async fn dropping_the_monitor_ends_all_checks() {
    let address = server(|stream| async { drop(stream) }).await;
    let (sender, mut events) = mpsc::channel(1);
    let targets = (0..100)
        .map(|id| Target {
            id,
            address,
            check: tcp().into(),
            known: None,
            vip: None,
        })
        .collect();
    let monitor = Monitor::start(targets, &sender);
    drop(sender);
    next(&mut events).await;
    drop(monitor);
    let drained = async { while events.recv().await.is_some() {} };
    time::timeout(LIMIT, drained).await.expect("a check goes on");
}

#[tokio::test]
async fn every_one_of_many_backends_is_reported() {
    let address = server(|stream| async { drop(stream) }).await;
    let (sender, mut events) = mpsc::channel(16);
    let inter = Duration::from_mins(1);
    let check = Arc::new(Check { inter, ..tcp() });
    let target = |id| Target {
        id,
        address,
        check: Arc::clone(&check),
        known: None,
        vip: None,
    };
    let _monitor = Monitor::start((0..500).map(target).collect(), &sender);
    let mut pending: std::collections::BTreeSet<u32> = (0..500).collect();
    while !pending.is_empty() {
        pending.remove(&next(&mut events).await.id);
    }
}

#[tokio::test]
async fn checks_that_stay_go_on_and_others_begin_and_end() {
    let (address, other) = (answering("HTTP/1.1 200 OK\r\n").await, closed_port().await);
    let target = |id, address, check: &Check| Target {
        id,
        address,
        check: check.clone().into(),
        known: None,
        vip: None,
    };
    let rare = Check {
        inter: Duration::from_hours(1),
        ..plain_http()
    };
    let (sender, mut events) = mpsc::channel(16);
    let mut monitor = Monitor::start(vec![target(1, address, &rare), target(2, other, &tcp())], &sender);
    let first = [next(&mut events).await.id, next(&mut events).await.id];
    assert!(first.contains(&1) && first.contains(&2), "{first:?}");
    monitor.retarget(
        vec![target(1, address, &rare), target(3, address, &rare)],
        &sender,
    );
    let mut seen = Vec::new();
    while seen.last() != Some(&3) {
        seen.push(next(&mut events).await.id);
    }
    assert!(
        !seen.contains(&1),
        "it is checked once an hour, and was: {seen:?}"
    );
    while events.try_recv().is_ok() {}
    monitor.retarget(Vec::new(), &sender);
    drop(sender);
    assert_eq!(events.recv().await, None, "nobody is left to report");
}
