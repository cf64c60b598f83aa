//! Statistics for tests: a service with a backend in every state, and names that HTML has to escape.

use std::collections::BTreeMap;

use super::*;
use crate::dataplane::Losses;

/// A backend that has seen traffic.
fn backend(name: &str, address: &str, state: &str, weight: u16, check: Check) -> Backend {
    Backend {
        name: name.to_owned(),
        address: address.parse().expect("an address"),
        state: state.to_owned(),
        weight,
        counters: Counters {
            flows_active: 12,
            flows_total: 34_567,
            flows_max: 40,
            flows_rate: 5,
            flows_rate_max: 90,
            packets_in: 1_234_567,
            bytes_in: 987_654_321,
            packets_out: 2_345_678,
            bytes_out: 3_456_789_012,
            retries: 7,
            refused: 2,
            resets: 3,
        },
        check,
    }
}

fn check(status: &str, detail: &str) -> Check {
    Check {
        status: status.to_owned(),
        detail: detail.to_owned(),
        duration_ms: 3,
        changed_seconds_ago: 185,
        transitions: 3,
    }
}

/// A degraded service "fe".
pub(crate) fn service() -> Service {
    let backends = vec![
        backend("node1", "10.0.0.80:9030", "up", 100, check("ok", "HTTP 200")),
        backend("node2", "10.0.0.81:9030", "up", 200, check("ok", "HTTP 200")),
        backend(
            "node3",
            "10.0.0.82:9030",
            "down",
            100,
            check("failed", "refused by <b>\"x\"</b> & co"),
        ),
        backend("node4", "10.0.0.83:9030", "drain", 100, check("none", "")),
        backend(
            "node5",
            "[fd00::80]:9030",
            "up",
            50,
            check("pending", "not yet checked"),
        ),
    ];
    Service {
        name: "fe".to_owned(),
        bind: ["10.0.0.100:9030", "[fd00::100]:9030"]
            .map(|bind| bind.parse().expect("an address"))
            .to_vec(),
        protocol: "tcp".to_owned(),
        mode: "full-nat".to_owned(),
        scheduler: "maglev".to_owned(),
        state: ServiceState::Degraded,
        counters: Counters {
            flows_active: 60,
            flows_total: 172_835,
            flows_max: 180,
            flows_rate: 25,
            flows_rate_max: 300,
            packets_in: 6_172_835,
            bytes_in: 4_938_271_605,
            packets_out: 11_728_390,
            bytes_out: 17_283_945_060,
            retries: 35,
            refused: 10,
            resets: 15,
        },
        backends,
    }
}

/// Statistics with that service.
pub(crate) fn statistics() -> Statistics {
    let reasons = [
        ("no_backend", 7),
        ("fragment", 1234),
        ("not_ip", 0),
        ("ttl_expired", 0),
    ];
    Statistics {
        version: "1.2.3".to_owned(),
        dataplane: "xdp".to_owned(),
        uptime_seconds: 93_784,
        packets: Packets {
            total: 5_000_000,
            verdicts: Verdicts {
                pass: 1_000_000,
                tx: 2_998_759,
                redirect: 1_000_000,
                drop: 1241,
            },
            reasons: BTreeMap::from(reasons.map(|(reason, count)| (reason.to_owned(), count))),
            lost: Losses::default(),
        },
        services: vec![service()],
    }
}
