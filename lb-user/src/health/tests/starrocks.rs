//! Checks of `StarRocks`' front ends, by both layouts of their list. A real front end was not to be had: these are the
//! layouts of its documentation.

use std::net::SocketAddr;

use super::{
    mysql_server::{Answer, Script, mysql_server},
    servers::answering,
    *,
};

/// Today's columns: `Role` has the leader.
const NEWER: &[&str] = &[
    "Id",
    "Name",
    "IP",
    "EditLogPort",
    "HttpPort",
    "QueryPort",
    "RpcPort",
    "Role",
    "ClusterId",
    "Join",
    "Alive",
];
/// Those before: the leader is a follower with `IsMaster`.
const OLDER: &[&str] = &[
    "Name",
    "IP",
    "HostName",
    "EditLogPort",
    "HttpPort",
    "QueryPort",
    "RpcPort",
    "Role",
    "IsMaster",
    "ClusterId",
    "Join",
    "Alive",
];

/// A cluster's list in one layout, in which the front end that is asked, which has no port of its own there, has this
/// role and life. Of the other two, which vote, one is alive or both are.
fn list(
    layout: &'static [&'static str],
    role: &'static str,
    alive: &'static str,
    other: &'static str,
) -> Answer {
    let row = |name: &'static str, ip: &'static str, role: &'static str, alive: &'static str| {
        let value = |column: &&str| match *column {
            "Name" => name,
            "IP" => ip,
            "Alive" => alive,
            "Role" if layout == OLDER && role == "LEADER" => "FOLLOWER",
            "Role" => role,
            "IsMaster" => {
                if role == "LEADER" {
                    "true"
                } else {
                    "false"
                }
            }
            _ => "",
        };
        layout.iter().map(value).collect::<Vec<_>>()
    };
    let others = if role == "LEADER" { "FOLLOWER" } else { "LEADER" };
    Answer::Table(
        layout,
        vec![
            row("fe2", "10.0.0.2", others, other),
            row("fe1", "127.0.0.1", role, alive),
            row("fe3", "10.0.0.3", "FOLLOWER", "true"),
        ],
    )
}

async fn front_end(question: &'static str, list: Answer) -> SocketAddr {
    mysql_server(Script {
        password: "",
        answers: vec![(question, list)],
        ..Script::default()
    })
    .await
}

const SHOW: &str = "SHOW FRONTENDS";
const PROC: &str = "SHOW PROC '/frontends'";

async fn check(address: SocketAddr, more: &str) -> (Outcome, String) {
    result(address, &format!("type = \"starrocks\"\nuser = \"lb\"\n{more}")).await
}

#[tokio::test]
async fn starrocks_require_in_both_layouts() {
    let rows = [
        ("leader", "LEADER", true),
        ("leader", "FOLLOWER", false),
        ("leader", "OBSERVER", false),
        ("follower", "FOLLOWER", true),
        ("follower", "LEADER", false),
        ("observer", "OBSERVER", true),
        ("observer", "FOLLOWER", false),
        ("reader", "FOLLOWER", true),
        ("reader", "OBSERVER", true),
        ("reader", "LEADER", false),
    ];
    for (question, layout) in [(SHOW, NEWER), (SHOW, OLDER), (PROC, NEWER), (PROC, OLDER)] {
        for (required, role, is_right) in rows {
            let address = front_end(question, list(layout, role, "true", "true")).await;
            let detail = role.to_lowercase();
            let expected = if is_right { ok(&detail) } else { failed(&detail) };
            let seen = check(address, &format!("require = \"{required}\"")).await;
            assert_eq!(seen, expected, "{required} of {role}, by {question} {layout:?}");
        }
    }
}

#[tokio::test]
async fn starrocks_not_alive() {
    let address = front_end(SHOW, list(NEWER, "FOLLOWER", "false", "true")).await;
    assert_eq!(check(address, "").await, failed("follower, not alive"));
}

#[tokio::test]
async fn starrocks_node() {
    let address = front_end(SHOW, list(NEWER, "FOLLOWER", "true", "true")).await;
    assert_eq!(check(address, "node = \"fe2\"").await, ok("leader"));
    let (outcome, detail) = check(address, "node = \"fe9\"").await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(detail.starts_with("no front end fe9 in the cluster"), "{detail}");
}

/// One of three is not a majority, two are.
#[tokio::test]
async fn starrocks_majority() {
    for (alive, warning) in [
        ("true", None),
        (
            "false",
            Some("only 1 of 3 front ends that vote are alive: the cluster has no majority"),
        ),
    ] {
        let address = front_end(SHOW, list(OLDER, "LEADER", alive, "false")).await;
        let check = written("type = \"starrocks\"\nuser = \"lb\"");
        let (_monitor, mut events) = monitor(address, check);
        assert_eq!(next(&mut events).await.report.warning.as_deref(), warning);
    }
}

#[tokio::test]
async fn starrocks_http_port() {
    let health = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";
    let http = answering(health).await;
    let port = format!("http_port = {}", http.port());
    let without_login = format!("type = \"starrocks\"\n{port}");
    assert_eq!(
        result(http, &without_login).await,
        ok("HTTP 200 from /api/health")
    );
    // A user that may not ask is as good as none, where no role is required.
    let denied = Answer::Error(1227, "Access denied");
    let address = front_end(SHOW, denied.clone()).await;
    assert_eq!(check(address, &port).await, ok("HTTP 200 from /api/health"));
    let (outcome, _) = check(address, &format!("{port}\nrequire = \"leader\"")).await;
    assert_eq!(outcome, Outcome::Failed);
    let sick = answering("HTTP/1.1 503 No\r\n\r\n").await;
    let check = format!("type = \"starrocks\"\nhttp_port = {}", sick.port());
    assert_eq!(result(sick, &check).await, failed("HTTP 503 from /api/health"));
}
