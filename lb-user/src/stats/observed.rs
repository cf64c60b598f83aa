//! What is observed when it happens, for metrics that no counter of the packet path holds.

use std::{sync::LazyLock, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, exponential_buckets,
};
use tracing::warn;

/// All of them; one daemon runs in a process.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    let families: [Box<dyn prometheus::core::Collector>; 4] = [
        Box::new(CHECKS.clone()),
        Box::new(APPLIES.clone()),
        Box::new(LOGGED.clone()),
        Box::new(NOT_LOGGED.clone()),
    ];
    for family in families {
        if let Err(error) = registry.register(family) {
            warn!(%error, "a metric is left out");
        }
    }
    registry
});

static CHECKS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let name = "ballast_check_duration_seconds";
    let options = HistogramOpts::new(name, "How long health checks took, whatever they found.");
    let options = options.buckets(buckets(0.000_5));
    HistogramVec::new(options, &["service"]).expect("name, label and buckets are right")
});

static APPLIES: LazyLock<Histogram> = LazyLock::new(|| {
    let name = "ballast_apply_duration_seconds";
    let options = HistogramOpts::new(name, "How long changes of the configuration took to be in force.");
    Histogram::with_opts(options.buckets(buckets(0.000_1))).expect("name and buckets are right")
});

static LOGGED: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Flows that ended and are in the flow log.";
    IntCounter::new("ballast_flow_log_flows_total", help).expect("the name is right")
});

static NOT_LOGGED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Flows that ended and are not in the flow log: more at once than could be read, or written.";
    let options = Opts::new("ballast_flow_log_lost_total", help);
    IntCounterVec::new(options, &["cause"]).expect("name and label are right")
});

/// Fourteen buckets, each twice as wide as the one before.
fn buckets(first: f64) -> Vec<f64> {
    exponential_buckets(first, 2.0, 14).expect("they begin above nothing and grow")
}

/// A health check of a backend of this service has ended.
pub fn check(service: &str, duration: Duration) {
    CHECKS
        .with_label_values(&[service])
        .observe(duration.as_secs_f64());
}

/// A changed configuration is in force.
pub fn apply(duration: Duration) {
    APPLIES.observe(duration.as_secs_f64());
}

/// So many flows that ended are in the flow log.
pub fn flows_logged(count: u64) {
    LOGGED.inc_by(count);
}

/// So many flows that ended are not, for this cause.
pub fn flows_not_logged(cause: &str, count: u64) {
    if count > 0 {
        NOT_LOGGED.with_label_values(&[cause]).inc_by(count);
    }
}
