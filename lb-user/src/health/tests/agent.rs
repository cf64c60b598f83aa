//! Checks by agents.

use super::{
    servers::{answering, server},
    *,
};
use crate::health::Duty;

/// What the check reports of an agent that says this without being asked.
async fn said(line: &'static str) -> Report {
    let address = server(move |mut stream| async move {
        let _ = stream.write_all(line.as_bytes()).await;
    })
    .await;
    let (_monitor, mut events) = monitor(address, agent("", address.port()));
    next(&mut events).await.report
}

fn agent(more: &str, port: u16) -> Check {
    written(&format!("type = \"agent\"\nport = {port}\n{more}"))
}

#[tokio::test]
async fn agent_up_and_down() {
    for (line, outcome, detail) in [
        ("up\n", Outcome::Ok, "agent: up"),
        ("down#backup runs\n", Outcome::Failed, "agent: down (backup runs)"),
        ("stopped\n", Outcome::Failed, "agent: stopped"),
        (
            "nonsense\n",
            Outcome::Failed,
            "not an agent's answer: nonsense\\n",
        ),
        ("", Outcome::Failed, "connection closed without an answer"),
    ] {
        let report = said(line).await;
        assert_eq!(
            (report.outcome, report.detail.as_ref()),
            (outcome, detail),
            "{line:?}"
        );
    }
}

#[tokio::test]
async fn agent_drain_maint_ready_and_percentages() {
    for (line, duty, percent) in [
        ("drain\n", Some(Duty::Drain), None),
        ("maint\n", Some(Duty::Maint), None),
        ("up ready 50%\n", Some(Duty::Ready), Some(50)),
    ] {
        let report = said(line).await;
        assert_eq!(report.outcome, Outcome::Ok);
        assert_eq!(report.orders, Orders { duty, percent }, "{line:?}");
    }
}

#[tokio::test]
async fn agent_send() {
    let address = answering("up\n").await;
    let check = agent("send = \"how is b?\\n\"", address.port());
    assert_eq!(first(address, check).await, ok("agent: up"));
}
