//! The statistics for Prometheus, in its text format.
//!
//! Names and units are by its conventions: base units, `_total` for what only grows, one label where a figure is one of
//! several that add up.

use prometheus::{
    Encoder as _, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use super::{Backend, Counters, Service, ServiceState, Statistics};

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Which backend a figure is of.
const OF_BACKEND: [&str; 2] = ["service", "backend"];

/// States of a backend, of which it has one.
const BACKEND_STATES: [&str; 4] = ["up", "down", "drain", "maint"];

/// All metrics at one moment, with those that `registry` holds: what is observed when it happens.
pub fn text(statistics: &Statistics, registry: &Registry) -> prometheus::Result<String> {
    let snapshot = Registry::new();
    daemon(&snapshot, statistics)?;
    packets(&snapshot, statistics)?;
    services(&snapshot, &statistics.services)?;
    states(&snapshot, &statistics.services)?;
    traffic(&snapshot, &statistics.services)?;
    checks(&snapshot, &statistics.services)?;
    let mut families = snapshot.gather();
    families.extend(registry.gather());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

fn daemon(registry: &Registry, statistics: &Statistics) -> prometheus::Result<()> {
    let info = gauges(
        "ballast_info",
        "What runs here; always 1.",
        &["version", "dataplane"],
    );
    let info = registered(registry, info)?;
    info.with_label_values(&[&statistics.version, &statistics.dataplane])
        .set(1);
    let uptime = gauges("ballast_uptime_seconds", "Time since the daemon started.", &[]);
    let uptime = registered(registry, uptime)?;
    uptime
        .with_label_values::<&str>(&[])
        .set(signed(statistics.uptime_seconds));
    Ok(())
}

fn packets(registry: &Registry, statistics: &Statistics) -> prometheus::Result<()> {
    let packets = &statistics.packets;
    let by_verdict = counters(
        "ballast_packets_total",
        "Packets seen, by what became of them.",
        &["verdict"],
    );
    let by_verdict = registered(registry, by_verdict)?;
    let verdicts = &packets.verdicts;
    for (verdict, number) in [
        ("pass", verdicts.pass),
        ("tx", verdicts.tx),
        ("redirect", verdicts.redirect),
        ("drop", verdicts.drop),
    ] {
        by_verdict.with_label_values(&[verdict]).inc_by(number);
    }
    let help = "Packets that were not forwarded, by reason; `ballast stats` says what each means.";
    let by_reason = registered(
        registry,
        counters("ballast_unforwarded_packets_total", help, &["reason"]),
    )?;
    for (reason, number) in &packets.reasons {
        by_reason.with_label_values(&[reason]).inc_by(*number);
    }
    let help = "Frames that dataplane af-packet lost before it saw them or after it had decided on them.";
    let lost = registered(registry, counters("ballast_lost_packets_total", help, &["cause"]))?;
    for (cause, number) in [
        ("unread", packets.lost.unread),
        ("truncated", packets.lost.truncated),
        ("unsent", packets.lost.unsent),
    ] {
        lost.with_label_values(&[cause]).inc_by(number);
    }
    Ok(())
}

fn services(registry: &Registry, services: &[Service]) -> prometheus::Result<()> {
    let help = "Whether the service is in this state: 1 for one of them, 0 for the others.";
    let states = registered(
        registry,
        gauges("ballast_service_state", help, &["service", "state"]),
    )?;
    for service in services {
        for state in [ServiceState::Up, ServiceState::Degraded, ServiceState::Down] {
            states
                .with_label_values(&[&service.name, state.as_str()])
                .set(i64::from(service.state == state));
        }
    }
    Ok(())
}

fn states(registry: &Registry, services: &[Service]) -> prometheus::Result<()> {
    let help = "Whether the backend is in this state: 1 for one of them, 0 for the others.";
    let states = gauges("ballast_backend_state", help, &["service", "backend", "state"]);
    let states = registered(registry, states)?;
    let weights = gauges(
        "ballast_backend_weight",
        "Share of new flows, beside the others'.",
        &OF_BACKEND,
    );
    let weights = registered(registry, weights)?;
    let help = "Time since the backend's state last changed.";
    let ages = registered(
        registry,
        gauges("ballast_backend_state_age_seconds", help, &OF_BACKEND),
    )?;
    for_each_backend(services, |service, backend| {
        let labels = [service.name.as_str(), backend.name.as_str()];
        for state in BACKEND_STATES {
            states
                .with_label_values(&[labels[0], labels[1], state])
                .set(i64::from(backend.state == state));
        }
        weights.with_label_values(&labels).set(i64::from(backend.weight));
        ages.with_label_values(&labels)
            .set(signed(backend.check.changed_seconds_ago));
    });
    Ok(())
}

fn traffic(registry: &Registry, services: &[Service]) -> prometheus::Result<()> {
    type Figure = fn(&Counters) -> u64;
    let help = "Flows in the flow table now that are not closed.";
    let active = registered(
        registry,
        gauges("ballast_backend_active_flows", help, &OF_BACKEND),
    )?;
    let help = "Connections that were moved to another backend, since this one did not answer.";
    let single: [(&str, &str, Figure); 4] = [
        ("ballast_backend_flows_total", "Flows ever opened.", |counters| {
            counters.flows_total
        }),
        ("ballast_backend_retries_total", help, |counters| counters.retries),
        (
            "ballast_backend_refused_total",
            "Connections refused by RST.",
            |counters| counters.refused,
        ),
        (
            "ballast_backend_resets_total",
            "Established connections that the backend reset before either end had closed its side.",
            |counters| counters.resets,
        ),
    ];
    for (name, help, figure) in single {
        let family = registered(registry, counters(name, help, &OF_BACKEND))?;
        for_each_backend(services, |service, backend| {
            let labels = [&service.name, &backend.name];
            family
                .with_label_values(&labels)
                .inc_by(figure(&backend.counters));
        });
    }
    let directed: [(&str, &str, [Figure; 2]); 2] = [
        (
            "ballast_backend_bytes_total",
            "Bytes forwarded, Ethernet headers included; `in` is from clients, `out` to them.",
            [|counters| counters.bytes_in, |counters| counters.bytes_out],
        ),
        (
            "ballast_backend_packets_total",
            "Packets forwarded; `in` is from clients, `out` to them.",
            [|counters| counters.packets_in, |counters| counters.packets_out],
        ),
    ];
    for (name, help, figures) in directed {
        let family = registered(
            registry,
            counters(name, help, &["service", "backend", "direction"]),
        )?;
        for_each_backend(services, |service, backend| {
            for (direction, figure) in ["in", "out"].into_iter().zip(figures) {
                let labels = [service.name.as_str(), backend.name.as_str(), direction];
                family
                    .with_label_values(&labels)
                    .inc_by(figure(&backend.counters));
            }
        });
    }
    for_each_backend(services, |service, backend| {
        let labels = [&service.name, &backend.name];
        active
            .with_label_values(&labels)
            .set(signed(backend.counters.flows_active));
    });
    Ok(())
}

/// Backends that were checked; the others have nothing to be said of.
fn checks(registry: &Registry, services: &[Service]) -> prometheus::Result<()> {
    let help = "Whether the last health check was good.";
    let good = registered(
        registry,
        gauges("ballast_backend_check_success", help, &OF_BACKEND),
    )?;
    let help = "How long the last health check took.";
    let last = Opts::new("ballast_backend_check_last_duration_seconds", help);
    let last = registered(registry, GaugeVec::new(last, &OF_BACKEND))?;
    for_each_backend(services, |service, backend| {
        if backend.check.has_run() {
            let labels = [&service.name, &backend.name];
            good.with_label_values(&labels)
                .set(i64::from(backend.check.status == "ok"));
            let duration = std::time::Duration::from_millis(backend.check.duration_ms);
            last.with_label_values(&labels).set(duration.as_secs_f64());
        }
    });
    Ok(())
}

fn for_each_backend(services: &[Service], mut tell: impl FnMut(&Service, &Backend)) {
    for service in services {
        for backend in &service.backends {
            tell(service, backend);
        }
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let family = family?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{observed, sample};

    #[test]
    fn every_line_is_a_sample_under_its_help_and_type() {
        let text = text(&sample::statistics(), &Registry::new()).expect("metrics");
        for line in [
            r#"ballast_info{dataplane="xdp",version="1.2.3"} 1"#,
            r#"ballast_packets_total{verdict="redirect"} 1000000"#,
            r#"ballast_unforwarded_packets_total{reason="fragment"} 1234"#,
            r#"ballast_service_state{service="fe",state="degraded"} 1"#,
            r#"ballast_backend_state{backend="node4",service="fe",state="drain"} 1"#,
            r#"ballast_backend_bytes_total{backend="node1",direction="in",service="fe"} 987654321"#,
            r#"ballast_backend_check_success{backend="node3",service="fe"} 0"#,
            r#"ballast_backend_check_last_duration_seconds{backend="node1",service="fe"} 0.003"#,
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        let mut named = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(of) => named = of.split(' ').next().unwrap_or_default(),
                None if line.starts_with("# HELP ") => {}
                None => assert!(line.starts_with(named), "{line} under {named}"),
            }
        }
    }

    #[test]
    fn what_was_never_checked_has_no_verdict_of_a_check() {
        let text = text(&sample::statistics(), &Registry::new()).expect("metrics");
        assert!(!text.contains(r#"check_success{backend="node4""#), "{text}");
    }

    /// Every metric that the dashboard asks for is one of ours.
    #[test]
    fn the_dashboard_uses_what_there_is() {
        observed::check("fe", std::time::Duration::from_millis(1));
        let text = text(&sample::statistics(), &observed::REGISTRY).expect("metrics");
        let known: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        let dashboard = include_str!("../../../contrib/grafana-dashboard.json");
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let used = dashboard
            .split(|letter| !is_of_name(letter))
            .filter(|word| word.starts_with("ballast_"));
        let used: Vec<&str> = used.collect();
        assert!(used.len() > 15, "{used:?}");
        for name in used {
            assert!(known.contains(&name), "there is no {name}");
        }
    }
}
