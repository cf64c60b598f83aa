//! Checks by commands.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use tempfile::TempDir;

use super::*;

const AT: &str = "127.0.0.1:3306";

/// A script, and the directory that it lives in.
struct Script {
    directory: TempDir,
    path: PathBuf,
}

impl Script {
    fn new(body: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("check");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, path }
    }

    fn check(&self, more: &str) -> Check {
        written(&format!(
            "type = \"exec\"\ncommand = [{:?}, \"a b\"]\n{more}",
            self.path
        ))
    }
}

#[tokio::test]
async fn exec_command() {
    for (body, expected) in [
        ("exit 0", ok("exit status: 0")),
        ("echo \"$# $1\"; echo more", ok("exit status: 0: 1 a b")),
        (
            "echo why >&2; echo 'not \u{1b}[2J me'; exit 3",
            failed("exit status: 3: not \\x1b[2J me"),
        ),
        ("kill -9 $$", failed("signal: 9 (SIGKILL)")),
    ] {
        let script = Script::new(body);
        assert_eq!(
            first(AT.parse().unwrap(), script.check("")).await,
            expected,
            "{body}"
        );
    }
}

/// The backend and what is configured, and nothing of the daemon's own.
#[tokio::test]
async fn exec_env() {
    let script = Script::new("echo $BALLAST_ADDRESS $BALLAST_PORT $MODE ${CARGO_PKG_NAME-none}");
    let check = script.check("env = { MODE = \"quick\" }");
    let expected = ok("exit status: 0: 127.0.0.1 3306 quick none");
    assert_eq!(first(AT.parse().unwrap(), check).await, expected);
}

/// What prints more than anybody reads does not wait for a reader.
#[tokio::test]
async fn exec_that_prints_a_lot() {
    let script = Script::new("head -c 10000000 /dev/zero; exit 0");
    let (outcome, _) = first(AT.parse().unwrap(), script.check("")).await;
    assert_eq!(outcome, Outcome::Ok);
}

#[tokio::test]
async fn exec_timeout() {
    let script =
        Script::new("cd \"${0%/*}\"; (echo $$ >> pids; sh -c 'echo $$ >> pids; exec sleep 1000') & wait");
    let check = script.check("timeout = \"700ms\"\ninter = \"1h\"");
    let expected = failed("no end within 700ms");
    assert_eq!(first(AT.parse().unwrap(), check).await, expected);
    let pids = fs::read_to_string(script.directory.path().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), 2, "it did not get so far");
    let ended = async {
        for pid in pids.lines() {
            while is_running(pid.parse().unwrap()) {
                time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    time::timeout(LIMIT, ended)
        .await
        .expect("a process of the group goes on");
}

fn is_running(pid: i32) -> bool {
    let is_zombie = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH) && !is_zombie
}

/// That a command cannot be had says nothing about the backend.
#[tokio::test]
async fn exec_without_its_program() {
    let check = written("type = \"exec\"\ncommand = [\"/nonexistent/check\"]");
    let probe = probe::Probe {
        address: AT.parse().unwrap(),
        check: &check,
        vip: None,
    };
    assert!(probe.run().await.is_err());
}
