//! `HAProxy`'s words, which all types have in common.

use std::time::Instant;

use super::{
    servers::{closed_port, server},
    *,
};
use crate::health::probe::Probe;

/// A server that tells whom it was connected to by.
async fn telling() -> (SocketAddr, mpsc::Receiver<SocketAddr>) {
    let (tell, told) = mpsc::channel(8);
    let address = server(move |stream| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(stream.peer_addr().unwrap()).await;
        }
    })
    .await;
    (address, told)
}

#[tokio::test]
async fn source_is_where_checks_come_from() {
    let (address, mut told) = telling().await;
    let check = "type = \"tcp\"\nsource = \"127.0.0.9\"";
    assert_eq!(result(address, check).await, ok("connected"));
    let peer = time::timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.9");
}

/// That this host has no such address or interface is not the backend's fault.
#[tokio::test]
async fn interface_is_what_checks_leave_by() {
    let (address, _told) = telling().await;
    assert_eq!(result(address, "interface = \"lo\"").await, ok("connected"));
    for wrong in ["interface = \"nosuch0\"", "source = \"192.0.2.77\""] {
        let check = written(wrong);
        let probe = Probe {
            address,
            check: &check,
            vip: None,
        };
        assert!(probe.run().await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn address_and_port_are_asked_instead_of_the_backends() {
    let (address, _told) = telling().await;
    let check = format!(
        "type = \"tcp\"\naddress = \"127.0.0.1\"\nport = {}",
        address.port()
    );
    assert_eq!(
        result("192.0.2.9:1".parse().unwrap(), &check).await,
        ok("connected")
    );
}

/// Times between the results of a check of a port that is closed, one after the other.
async fn distances(check: Check, count: usize) -> Vec<Duration> {
    let (_monitor, mut events) = monitor_known(closed_port().await, check, Some(State::Up));
    let mut last: Option<Instant> = None;
    let mut distances = Vec::new();
    while distances.len() < count {
        let at = next(&mut events).await.report.at;
        distances.extend(last.map(|last| at - last));
        last = Some(at);
    }
    distances
}

/// Far enough apart that no busy machine takes one for another: two at `fastinter` until it is down, then `downinter`.
#[tokio::test]
async fn fastinter_and_downinter_follow_the_state() {
    let times = "inter = \"1h\"\nfastinter = \"20ms\"\ndowninter = \"900ms\"\nfall = 3\nrise = 1";
    let distances = distances(written(times), 3).await;
    let (fast, down) = (Duration::from_millis(450), Duration::from_millis(600));
    assert!(distances[0] < fast && distances[1] < fast, "{distances:?}");
    assert!(distances[2] > down, "{distances:?}");
}

#[tokio::test]
async fn inter_is_kept() {
    let check = written("inter = \"40ms\"\nfall = 1000");
    let begun = Instant::now();
    let distances = distances(check, 25).await;
    let sum: Duration = distances.iter().sum();
    assert!(sum >= Duration::from_millis(900), "{distances:?}");
    assert!(begun.elapsed() < LIMIT);
}

fn monitor_known(
    address: SocketAddr,
    check: Check,
    known: Option<State>,
) -> (Monitor, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(1);
    let target = Target {
        id: 7,
        address,
        check: check.into(),
        known,
        vip: None,
    };
    (Monitor::start(vec![target], &sender), events)
}

/// After going down so often it is not believed any more, and said why.
#[tokio::test]
async fn max_flaps_and_flap_window_hold_a_backend_down() {
    let up_and_down = server_that_alternates().await;
    let check =
        written("type = \"http\"\ninter = \"5ms\"\nrise = 1\nfall = 1\nmax_flaps = 3\nflap_window = \"1h\"");
    let (_monitor, mut events) = monitor(up_and_down, check);
    let (mut downs, mut held) = (0, 0);
    while held < 20 {
        let event = next(&mut events).await;
        if event.changed && event.state == State::Down {
            downs += 1;
        }
        if downs == 4 && event.report.outcome == Outcome::Ok {
            assert_eq!((event.state, event.changed), (State::Down, false));
            assert_eq!(event.report.detail, "HTTP 200, but it goes up and down too often");
            held += 1;
        }
    }
    assert_eq!(downs, 4);
}

/// Answers every other request with an error.
async fn server_that_alternates() -> SocketAddr {
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    server(move |mut stream| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            let status = if turn.is_multiple_of(2) { "200" } else { "500" };
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let _ = stream
                .write_all(format!("HTTP/1.1 {status} x\r\n").as_bytes())
                .await;
        }
    })
    .await
}

/// What each word does about an error that clients see, on a backend whose own check succeeds or fails.
#[tokio::test]
async fn observe_and_on_error() {
    for (word, failures_until_down) in [
        ("fail-check", 2),
        ("sudden-death", 1),
        ("mark-down", 0),
        ("fastinter", 3),
    ] {
        let observing = format!(
            "inter = \"1h\"\nfastinter = \"5ms\"\nfall = 3\nobserve = \"layer4\"\non_error = \"{word}\""
        );
        let (monitor, mut events) = monitor_known(closed_port().await, written(&observing), Some(State::Up));
        // The first check is made at once, and would be the first failure: an alarm before it is one of its own.
        let first = next(&mut events).await;
        assert_eq!((first.state, first.report.outcome), (State::Up, Outcome::Failed));
        monitor.alarm(7, 12);
        let mut failures = 1;
        let mut alarmed = false;
        let down = loop {
            let event = next(&mut events).await;
            alarmed |= event.report.detail == "12 connections in a row were not taken";
            failures += u32::from(event.report.detail == "connection refused");
            if event.state == State::Down {
                break failures;
            }
        };
        assert_eq!(alarmed, word != "fastinter", "{word}");
        let most = failures_until_down.max(1);
        assert!(
            down <= most + 1,
            "{word}: {down} checks failed before it was down"
        );
    }
}

/// A backend that is well is checked at once, and stays up.
#[tokio::test]
async fn observe_with_an_error_limit_checks_at_once() {
    let (address, _told) = telling().await;
    let check = written("inter = \"1h\"\nobserve = \"layer4\"\nerror_limit = 5");
    let (monitor, mut events) = monitor(address, check);
    next(&mut events).await;
    monitor.alarm(7, 5);
    let details = [next(&mut events).await, next(&mut events).await].map(|event| {
        assert_eq!(event.state, State::Up);
        event.report.detail
    });
    assert_eq!(details, ["5 connections in a row were not taken", "connected"]);
}
