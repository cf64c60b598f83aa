//! What an operator asks beside looking on: where a flow would go, whether all is well, what would hurt.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{DaemonConfig, Family, Lab, Role, load::Requests, observe, wait_for};
use lb_user::stats::ServiceState;

use crate::{
    connection::Connection,
    prometheus::curl,
    story::{Asks as _, in_lab, usual, with_daemon},
};

/// Within which statistics have to come.
const AT_ONCE: Duration = Duration::from_millis(100);

#[test]
fn a_look_up_names_the_backend_that_the_connection_then_goes_to() {
    with_daemon(usual(), |lab| {
        let target = lab.web(Family::V4);
        let client = lab.config().wiring.address(Role::Client, Family::V4);
        for port in 40_000..40_010_u16 {
            let (from, to) = (format!("{client}:{port}"), target.to_string());
            let found = lab.ask(&["lookup", "--from", &from, "--to", &to])?;
            ensure!(found.code == Some(0), "{found:?}");
            let bound = std::net::SocketAddr::new(client, port);
            let connection = lab.client().run(move || Connection::open_from(bound, target))?;
            let named = format!("web/{} at ", connection.backend);
            ensure!(found.stdout.starts_with(&named), "{named} is not in {found:?}");
        }
        let nobody = ["lookup", "--from", "10.1.0.2:5", "--to", "10.9.9.9:80"];
        let found = lab.ask(&nobody)?;
        ensure!(found.stdout.starts_with("no service: no backend"), "{found:?}");
        Ok(())
    });
}

#[test]
fn health_says_whether_packets_would_be_forwarded() {
    with_daemon(usual(), |lab| {
        let ask = |lab: &Lab, more: &[&str]| lab.ask(&[&["health", "--quiet"], more].concat());
        let began = Instant::now();
        let well = ask(lab, &[])?;
        println!("asked in {:?}", began.elapsed());
        ensure!(well.code == Some(0) && well.stdout.is_empty(), "{well:?}");
        ensure!(ask(lab, &["--service", "nosuch"])?.refusal()?.contains("nosuch"));
        lab.balancer().ip_batch("link set be1 down")?;
        ensure!(ask(lab, &[])?.refusal()?.contains("be1 is down"));
        lab.balancer().ip_batch("link set be1 up")?;
        for number in 1..=3 {
            lab.backend(&format!("be{number}"))?.kill()?;
        }
        lab.daemon()?
            .wait_for_state("web", "be3", "down", Duration::from_secs(20))?;
        let down = wait_for("every service to be down", Duration::from_secs(20), || {
            let asked = ask(lab, &[])?;
            Ok((asked.code == Some(1)).then_some(asked))
        });
        ensure!(down?.0.refusal()?.contains("every service is down"));
        Ok(())
    });
}

#[test]
fn a_doctor_names_what_would_hurt_and_mends_it() {
    with_daemon(usual(), |lab| {
        let file = lab.write_config(&lab.config().to_toml())?;
        let file = file.to_str().context("a path in UTF-8")?;
        let range = |lab: &Lab, range: &str| {
            let setting = format!("net.ipv4.ip_local_port_range={range}");
            let status = lab
                .balancer()
                .command("sysctl")
                .args(["-qw", &setting])
                .status()?;
            ensure!(status.success(), "sysctl ended with {status}");
            Ok(())
        };
        let examine =
            |lab: &Lab, more: &[&str]| lab.ask(&[&["doctor", "--json", "--config", file], more].concat());
        range(lab, "20000 60999")?;
        let ill = examine(lab, &[])?;
        ensure!(ill.code == Some(1), "{ill:?}");
        ensure!(
            ill.stdout.contains("ip_local_port_range=\\\"32768 60999\\\""),
            "{ill:?}"
        );
        let mended = examine(lab, &["--fix"])?;
        ensure!(mended.code == Some(0), "{mended:?}");
        Ok(())
    });
}

/// A hundred services of ten backends each: three that serve, and seven that stand there.
fn large(lab: &Lab) -> Result<String> {
    let text = lab.config().to_toml();
    let mut text = text[..text.find("[[service]]").context("no service")?].to_owned();
    for service in 0..SERVICES {
        let bind = format!("{}:{}", Family::V4.vip(), FIRST_PORT + service);
        let backends = (0..10).map(|number| {
            let (host, port) = (1 + number % 3, 8080 + number / 3);
            let weight = if number < 3 { 100 } else { 0 };
            format!("  {{ name = \"b{number}\", address = \"10.1.{host}.2:{port}\", weight = {weight} }},\n")
        });
        let backends: String = backends.collect();
        let service = format!(
            "\n[[service]]\nname = \"s{service}\"\nbind = [\"{bind}\"]\nbackend = [\n{backends}]\n[service.check]\ntype = \
             \"none\"\n"
        );
        text.push_str(&service);
    }
    Ok(text)
}

const SERVICES: u16 = 100;
const FIRST_PORT: u16 = 2000;

#[test]
fn the_statistics_of_a_large_balancer_come_at_once() {
    in_lab(usual(), |lab| {
        let text = large(lab)?;
        lab.start_daemon_unready(&text)?;
        let up = || {
            let services = lab.daemon()?.stats()?.services;
            Ok(services
                .iter()
                .all(|service| service.state == ServiceState::Up)
                .then_some(()))
        };
        wait_for("all services to be up", Duration::from_secs(30), up)?;
        for service in (0..SERVICES).step_by(5) {
            let target = std::net::SocketAddr::new(Family::V4.vip(), FIRST_PORT + service);
            // Some more than are asked for: a client's port that is used again is one flow.
            let report = Requests::new(target, 520).run(lab.client())?;
            ensure!(report.failed == 0, "{report}");
        }
        let (flows, _) = lab.daemon()?.flows()?;
        let document = fastest(|| {
            // It has more to say than a pipe holds.
            let mut stats = lab.ballast()?;
            let stats = stats
                .args(["stats", "--json", "--socket"])
                .arg(lab.config().socket());
            let output = stats.output()?;
            ensure!(output.status.success(), "{output:?}");
            Ok(())
        })?;
        let page = fastest(|| {
            let page = curl(lab, &format!("http://{}/stats", DaemonConfig::STATS_ADDRESS))?;
            ensure!(page.contains("s99") && page.contains("b9"), "not all of it");
            Ok(())
        })?;
        let memory = observe::memory(lab.daemon()?.status()?.pid)?;
        println!(
            "{flows} flows, 1,000 backends, {SERVICES} services: `stats --json` took {document:?}, the page {page:?}; the daemon \
             has {:.0} MB of its own, and {:.0} MB of tables mapped",
            memory.own, memory.mapped
        );
        ensure!(flows >= 10_000, "only {flows} flows");
        ensure!(document < AT_ONCE, "the document took {document:?}");
        ensure!(page < AT_ONCE, "the page took {page:?}");
        Ok(())
    });
}

/// The least time of five.
fn fastest(mut ask: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut took = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        ask()?;
        took = took.min(began.elapsed());
    }
    Ok(took)
}
