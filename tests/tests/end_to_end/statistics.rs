//! The statistics are what the interface promises, and they are true. That every frame has a verdict is checked at the end
//! of every story: see [`lab::Lab::audit`].

use lab::{CheckTimes, Family, load::Requests};
use serde_json::{Value, json};

use crate::story::{usual, with_daemon};

#[test]
fn the_document_has_the_promised_shape() {
    let promised = json!({
        "version": "…", "dataplane": "xdp", "uptime_seconds": 1,
        "packets": {
            "total": 0, "verdicts": { "pass": 0, "tx": 0, "redirect": 0, "drop": 0 }, "reasons": { "no_backend": 0 }
        },
        "services": [{
            "name": "fe", "bind": ["10.0.0.100:9030"], "protocol": "tcp", "mode": "full-nat",
            "scheduler": "maglev", "state": "up", "flows_active": 0, "flows_total": 0,
            "packets_in": 0, "bytes_in": 0, "packets_out": 0, "bytes_out": 0,
            "backends": [{
                "name": "node1", "address": "10.0.0.80:9030", "state": "up", "weight": 100,
                "flows_active": 0, "flows_total": 0,
                "packets_in": 0, "bytes_in": 0, "packets_out": 0, "bytes_out": 0,
                "check": { "status": "ok", "detail": "HTTP 200", "duration_ms": 1, "changed_seconds_ago": 3 }
            }]
        }]
    });
    with_daemon(usual(), |lab| {
        let document = lab.daemon()?.stats_document()?;
        let deviations = deviations("", &promised, &document);
        assert!(deviations.is_empty(), "{deviations:#?}");
        Ok(())
    });
}

#[test]
fn every_connection_is_a_flow_of_its_backend() {
    with_daemon(usual().check(CheckTimes::ONCE), |lab| {
        let report = Requests::new(lab.web(Family::V4), 900).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        let stats = lab.daemon()?.stats()?;
        let web = stats
            .services
            .iter()
            .find(|service| service.name == "web")
            .expect("the service exists");
        assert_eq!(web.counters.flows_total, 900);
        for backend in &web.backends {
            assert_eq!(
                backend.counters.flows_total, report.answered[&backend.name],
                "{}",
                backend.name
            );
            assert!(
                backend.counters.packets_in > 0 && backend.counters.packets_out > 0,
                "{backend:?}"
            );
        }
        let bytes_in = web
            .backends
            .iter()
            .map(|backend| backend.counters.bytes_in)
            .sum::<u64>();
        assert_eq!(
            bytes_in, web.counters.bytes_in,
            "the service is not the sum of its backends"
        );
        Ok(())
    });
}

/// Where `actual` lacks a promised field or has another type there. More fields than promised are fine; all
/// elements of an array must be like the promised one.
fn deviations(place: &str, promised: &Value, actual: &Value) -> Vec<String> {
    match (promised, actual) {
        (Value::Object(fields), Value::Object(actual)) => fields
            .iter()
            .flat_map(|(name, promised)| match actual.get(name) {
                Some(actual) => deviations(&format!("{place}.{name}"), promised, actual),
                None => vec![format!("{place}.{name} is missing")],
            })
            .collect(),
        (Value::Array(promised), Value::Array(actual)) if !actual.is_empty() => actual
            .iter()
            .enumerate()
            .flat_map(|(index, actual)| deviations(&format!("{place}[{index}]"), &promised[0], actual))
            .collect(),
        (Value::String(_), Value::String(_)) => Vec::new(),
        (Value::Number(_), Value::Number(actual)) if actual.is_u64() => Vec::new(),
        _ => vec![format!("{place} should be like {promised}, but is {actual}")],
    }
}
