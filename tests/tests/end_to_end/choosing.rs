//! Schedulers and limits, with connections of a real TCP stack.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Family, Lab, load::Requests, wait_for};
use lb_common::Reason;

use crate::story::{in_lab, usual};

/// Until a connection that is refused by silence is given up: less than its sender waits before it tries again.
const REFUSED: Duration = Duration::from_millis(800);
const LIMIT: Duration = Duration::from_secs(10);

/// Tells a story with another scheduler, and more said of each backend.
fn with(scheduler: &str, backend: fn(u32) -> String, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    in_lab(usual(), |lab| {
        let mut config = lab
            .config()
            .to_toml()
            .replace("scheduler = \"maglev\"", &format!("scheduler = \"{scheduler}\""));
        for number in 1..=3 {
            let name = format!("name = \"be{number}\"\n");
            config = config.replace(&name, &format!("{name}{}\n", backend(number)));
        }
        lab.start_daemon_on(&config)?;
        tell(lab)
    });
}

#[test]
fn round_robin_shares_a_cycle_exactly() {
    with(
        "round-robin",
        |number| format!("weight = {}", 4 - number),
        |lab| {
            for family in Family::ALL {
                let report = Requests::new(lab.web(family), 600).run(lab.client())?;
                let expected: BTreeMap<_, _> = [("be1", 300), ("be2", 200), ("be3", 100)]
                    .map(|(name, count)| (name.to_owned(), count))
                    .into();
                assert_eq!((report.failed, &report.answered), (0, &expected), "{report}");
            }
            Ok(())
        },
    );
}

#[test]
fn source_leads_one_client_to_one_backend() {
    with(
        "source",
        |_| String::new(),
        |lab| {
            for family in Family::ALL {
                let report = Requests::new(lab.web(family), 300).run(lab.client())?;
                assert_eq!((report.failed, report.answered.len()), (0, 1), "{report}");
            }
            Ok(())
        },
    );
}

#[test]
fn least_conn_evens_out_connections_that_are_held() {
    with(
        "least-conn",
        |number| format!("weight = {}", if number == 1 { 200 } else { 100 }),
        |lab| {
            let held = hold(lab, 40)?;
            assert_eq!(flows(lab)?, by_backend([20, 10, 10]));
            drop(held);
            wait_for("the flows to be over", LIMIT, || {
                Ok(flows(lab)?.is_empty().then_some(()))
            })?;
            let _held = hold(lab, 20)?;
            assert_eq!(flows(lab)?, by_backend([10, 5, 5]));
            Ok(())
        },
    );
}

#[test]
fn maxconn_holds_and_frees() {
    with(
        "maglev",
        |number| format!("maxconn = {number}"),
        |lab| {
            let mut held = hold(lab, 6)?;
            assert_eq!(flows(lab)?, by_backend([1, 2, 3]));
            assert!(connect(lab).is_err(), "all backends are full");
            let refused = reason(lab, Reason::BackendFull)?;
            assert!(refused > 0, "and this is counted");
            drop(held.pop());
            let (another, _) = wait_for("room for another", LIMIT, || Ok(connect(lab).ok()))?;
            held.push(another);
            assert_eq!(flows(lab)?, by_backend([1, 2, 3]));
            Ok(())
        },
    );
}

fn by_backend(counts: [usize; 3]) -> BTreeMap<String, usize> {
    let names = (1..).map(|number| format!("be{number}"));
    names.zip(counts).collect()
}

/// So many connections, each open.
pub(crate) fn hold(lab: &Lab, count: usize) -> Result<Vec<TcpStream>> {
    (0..count).map(|_| connect(lab)).collect()
}

/// A connection from the client, unless nobody answers.
pub(crate) fn connect(lab: &Lab) -> Result<TcpStream> {
    let target: SocketAddr = lab.web(Family::V4);
    lab.client()
        .run(move || Ok(TcpStream::connect_timeout(&target, REFUSED)?))
}

/// Flows that are neither closed nor closing, by backend.
fn flows(lab: &Lab) -> Result<BTreeMap<String, usize>> {
    let (count, flows) = lab.daemon()?.flows()?;
    ensure!(count == flows.len() as u64, "not all flows are shown");
    let mut counts = BTreeMap::new();
    for flow in flows
        .into_iter()
        .filter(|flow| flow.state.as_str() == "established")
    {
        *counts.entry(flow.backend).or_default() += 1;
    }
    Ok(counts)
}

/// Packets that were not forwarded for a reason.
pub(crate) fn reason(lab: &Lab, reason: Reason) -> Result<u64> {
    let document = lab.daemon()?.stats_document()?;
    document["packets"]["reasons"][reason.name()]
        .as_u64()
        .with_context(|| format!("no counter of {}", reason.name()))
}
