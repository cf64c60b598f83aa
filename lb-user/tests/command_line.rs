//! The `ballast` command from outside: what it prints where, and how it exits.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use lb_user::{
    api,
    control::LookUpError,
    daemon::{Applied, AttachedInterface, Handle, Order, Request, Status, Stopping},
    flows::{Flow, FlowId, FlowPage, FlowState, KillError, Query},
    stats::Statistics,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The document that `ballast stats --json` is promised to print.
const DOCUMENT: &str = r#"{ "version": "1.2.3", "dataplane": "xdp", "uptime_seconds": 1,
  "packets": { "total": 3, "verdicts": {"pass":0,"tx":2,"redirect":0,"drop":1}, "reasons": {"no_backend":1}, "lost": {"unread":0, "truncated":0, "unsent":0} },
  "services": [ { "name":"fe", "bind":["10.0.0.100:9030"], "protocol":"tcp", "mode":"full-nat", "scheduler":"maglev",
     "state":"up", "flows_active":0, "flows_total":0, "flows_max":0, "flows_rate":0, "flows_rate_max":0, "packets_in":0, "bytes_in":0, "packets_out":0, "bytes_out":0, "retries": 0, "refused": 0, "resets": 0,
     "backends": [ { "name":"node1", "address":"10.0.0.80:9030", "state":"up", "weight":100, "flows_active":0,
        "flows_total":0, "flows_max":0, "flows_rate":0, "flows_rate_max":0, "packets_in":0, "bytes_in":0, "packets_out":0, "bytes_out":0, "retries": 0, "refused": 0, "resets": 0,
        "check": {"status":"ok","detail":"HTTP 200","duration_ms":1,"changed_seconds_ago":3,"transitions":0} } ] } ] }"#;

const CONFIGURATION: &str = r#"
[[service]]
name = "fe"
bind = ["10.0.0.100:9030"]
[[service.backend]]
name = "node1"
address = "10.0.0.80:9030"
[[service.backend]]
name = "node2"
address = "10.0.0.81:9030"
"#;

fn ballast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ballast"))
        .args(arguments)
        .env_remove("BALLAST_SOCKET")
        .output()
        .expect("the command runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

/// The one line that an error is.
fn error_line(output: &Output) -> &str {
    assert_eq!((output.status.code(), stdout(output)), (Some(1), ""));
    let text = std::str::from_utf8(&output.stderr).expect("UTF-8");
    let line = text.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "more than one line: {text}");
    line
}

fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        pid: 42,
        uptime_seconds: 1,
        dataplane: "xdp".to_owned(),
        interfaces: vec![AttachedInterface {
            name: "eth0".to_owned(),
            mode: "xdp".to_owned(),
            attached: true,
            why: None,
        }],
        stats: None,
        services_up: 1,
        services_degraded: 0,
        services_down: 0,
    }
}

/// Three flows on two pages.
fn flow_page(query: &Query) -> FlowPage {
    let flow = |port: u16| Flow {
        id: FlowId {
            position: port.into(),
            generation: 1,
        },
        client: ([10, 0, 0, 7], port).into(),
        virtual_address: ([10, 0, 0, 100], 9030).into(),
        protocol: "tcp".to_owned(),
        service: query.service.clone(),
        backend: "node1".to_owned(),
        backend_address: ([10, 0, 0, 80], 9030).into(),
        snat_address: ([10, 0, 0, 1], 2048).into(),
        mode: "full-nat".to_owned(),
        state: FlowState::Established,
        idle_seconds: 61,
    };
    let first: u16 = query.from.map_or(1, |_| 3);
    let last = if first == 1 { 2 } else { 3 };
    FlowPage {
        total: 3,
        flows: (first..=last).rev().map(flow).take(query.limit()).collect(),
        next: (first == 1).then_some(17),
    }
}

/// An order that was carried out; what was ordered is what has changed.
fn applied(order: &Order) -> Applied {
    Applied {
        changed: vec![format!("{order:?}")],
        unsaved: vec!["fe/node1 drain".to_owned()],
        left_out: Vec::new(),
    }
}

fn stopping() -> Stopping {
    Stopping {
        keeps: false,
        interfaces: vec!["eth0".to_owned()],
    }
}

/// Answers the API on a socket with the document above, until the runtime is dropped.
fn daemon(socket: &Path) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (handle, mut requests) = Handle::new();
    runtime.spawn(async move {
        while let Some(request) = requests.recv().await {
            // The asker may be gone.
            let _ = match request {
                Request::Statistics(answer) => {
                    let statistics: Statistics = serde_json::from_str(DOCUMENT).expect("the document");
                    answer.send(statistics).is_ok()
                }
                Request::Status(answer) => answer.send(status()).is_ok(),
                Request::Flows(query, answer) => answer.send(Ok(flow_page(&query))).is_ok(),
                Request::Kill(flow, answer) => answer.send(Err(KillError::NoFlow(flow))).is_ok(),
                Request::LookUp(flow, answer) => {
                    answer.send(Err(LookUpError::Protocol(flow.protocol))).is_ok()
                }
                Request::Configure(order, _, answer) => answer.send(Ok(applied(&order))).is_ok(),
                Request::Difference(answer) => answer.send(Ok("-a\n+b\n".to_owned())).is_ok(),
                Request::Journal(_, answer) => answer.send(Ok(Vec::new())).is_ok(),
                // Taken, and never carried out.
                Request::Stop(_, answer) => answer.send(Ok(stopping())).is_ok(),
            };
        }
    });
    runtime
        .block_on(api::serve_socket(socket, None, handle, CancellationToken::new()))
        .expect("a socket");
    runtime
}

#[test]
fn check_accepts_a_good_file_and_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("lb.toml");
    fs::write(&file, CONFIGURATION).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let output = ballast(&["check", "--config", file]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), format!("{file}: ok (1 service, 2 backends)\n"));
    assert!(output.stderr.is_empty());
}

#[test]
fn check_says_in_one_line_where_a_file_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("lb.toml");
    fs::write(
        &file,
        CONFIGURATION.replace("\"10.0.0.81:9030\"", "\"10.0.0.81\""),
    )
    .expect("a file");
    let file = file.to_str().expect("UTF-8");
    assert_eq!(
        error_line(&ballast(&["check", "--config", file])),
        format!("{file}:10:11: \"10.0.0.81\" has no port; write \"10.0.0.81:PORT\"")
    );
    let missing = "/nonexistent/lb.toml: cannot be read: No such file or directory (os error 2)";
    assert_eq!(
        error_line(&ballast(&["check", "--config", "/nonexistent/lb.toml"])),
        missing
    );
    assert_eq!(
        error_line(&ballast(&["run", "--config", "/nonexistent/lb.toml"])),
        missing
    );
}

#[test]
fn usage_errors_exit_2_and_help_exits_0() {
    for arguments in [&[][..], &["check"], &["chekc"], &["stats", "--jsn"], &["backend"]] {
        let output = ballast(arguments);
        assert_eq!(
            (output.status.code(), stdout(&output)),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["backend", "list", "--help"]] {
        let output = ballast(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn without_a_daemon_there_is_one_clear_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("none.sock");
    let socket = socket.to_str().expect("UTF-8");
    for arguments in [
        &["stats"][..],
        &["status", "--json"],
        &["backend", "list"],
        &["flow", "list"],
    ] {
        assert_eq!(
            error_line(&ballast(&[arguments, &["--socket", socket]].concat())),
            format!(
                "cannot reach the daemon at {socket}: No such file or directory (os error 2); \
                 is `ballast run` running?"
            )
        );
    }
}

#[test]
fn json_is_the_promised_document() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ballast.sock");
    let _daemon = daemon(&socket);
    let socket = socket.to_str().expect("UTF-8");
    let ask = |arguments: &[&str]| -> Value {
        let output = ballast(&[arguments, &["--json", "--socket", socket]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    };
    let promised: Value = serde_json::from_str(DOCUMENT).expect("the document");
    assert_eq!(ask(&["stats"]), promised);
    assert_eq!(ask(&["status"]), serde_json::to_value(status()).expect("JSON"));
    let mut backend = promised["services"][0]["backends"][0].clone();
    backend["service"] = "fe".into();
    assert_eq!(ask(&["backend", "list"]), Value::from(vec![backend]));
}

#[test]
fn tables_have_no_colours_off_a_terminal_and_the_socket_may_come_from_the_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ballast.sock");
    let _daemon = daemon(&socket);
    let output = Command::new(env!("CARGO_BIN_EXE_ballast"))
        .args(["backend", "list"])
        .env("BALLAST_SOCKET", &socket)
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        stdout(&output).contains("\nfe/node1  10.0.0.80:9030  up 3s"),
        "{}",
        stdout(&output)
    );
    assert!(!stdout(&output).contains('\u{1b}'));
}

#[test]
fn flows_are_fetched_page_by_page_up_to_the_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ballast.sock");
    let _daemon = daemon(&socket);
    let list = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ballast"))
            .args(["flow", "list", "--service", "fe"])
            .args(arguments)
            .env("BALLAST_SOCKET", &socket)
            .output()
            .expect("the command runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        stdout(&output).to_owned()
    };
    let document: Value = serde_json::from_str(&list(&["--json"])).expect("one JSON document");
    assert_eq!(document["total"], 3);
    let clients: Vec<&Value> = (0..3).map(|index| &document["flows"][index]["client"]).collect();
    assert_eq!(clients, ["10.0.0.7:1", "10.0.0.7:2", "10.0.0.7:3"], "in order");
    let document: Value = serde_json::from_str(&list(&["--json", "--limit", "1"])).expect("one document");
    assert_eq!(document["flows"].as_array().map(Vec::len), Some(1));

    let text = list(&["--limit", "2"]);
    let row =
        "fe       10.0.0.7:1  10.0.0.100:9030 tcp  node1    full-nat  10.0.0.1:2048  established  1m 1s";
    assert!(text.contains(row), "{text}");
    assert!(text.ends_with("\n2 of 3 flows; --limit shows more\n"), "{text}");
    assert!(!list(&[]).contains("--limit"), "all are shown");
}

#[test]
fn stop_says_when_there_is_nothing_to_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("none.sock");
    let socket = socket.to_str().expect("UTF-8");
    for arguments in [&["stop"][..], &["stop", "--keep"]] {
        let line = error_line(&ballast(&[arguments, &["--socket", socket]].concat())).to_owned();
        let start = format!("nothing to stop: nobody listens on {socket}, and no daemon has left anything");
        assert!(line.starts_with(&start), "{line}");
    }
}

#[test]
fn orders_are_sent_as_they_are_given_and_say_what_is_left_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ballast.sock");
    let _daemon = daemon(&socket);
    let socket = socket.to_str().expect("UTF-8");
    for (arguments, order) in [
        (
            &["backend", "maint", "fe/node1"][..],
            "State { service: \"fe\", backend: \"node1\", state: Maint }",
        ),
        (
            &["backend", "weight", "fe/node1", "7"],
            "Weight { service: \"fe\", backend: \"node1\", weight: 7 }",
        ),
        (
            &["backend", "remove", "fe/node1"],
            "RemoveBackend { service: \"fe\", backend: \"node1\" }",
        ),
        (&["service", "remove", "fe"], "RemoveService { service: \"fe\" }"),
        (&["reload"], "Reload"),
        (&["save"], "Save"),
        (&["rollback"], "RollBack"),
    ] {
        let output = ballast(&[arguments, &["--socket", socket]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = stdout(&output);
        assert!(text.contains(order), "{arguments:?}: {text}");
        assert!(text.ends_with("`ballast save` writes it\n"), "{text}");
    }
    let refused = ballast(&["flow", "kill", "3f-2", "--socket", socket]);
    assert!(
        error_line(&refused).starts_with("there is no flow 3f-2"),
        "{refused:?}"
    );
}

#[test]
fn shells_and_man_are_told_of_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ballast(&["completions", shell]);
        for word in ["rollback", "doctor", "drain"] {
            assert!(stdout(&script).contains(word), "{shell}: {word}");
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let pages = ballast(&["man", "--directory", directory.path().to_str().expect("UTF-8")]);
    assert_eq!(pages.status.code(), Some(0), "{pages:?}");
    for page in ["ballast.1", "ballast-reload.1", "ballast-backend-drain.1"] {
        let text = fs::read_to_string(directory.path().join(page)).expect(page);
        assert!(text.contains("Example"), "{page}");
    }
}
