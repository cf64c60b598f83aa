//! What is observed when it happens, for metrics that no counter of the packet path holds.

use std::{sync::LazyLock, time::Duration};

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry, exponential_buckets};
use tracing::warn;

/// All of them; one daemon runs in a process.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    let families: [Box<dyn prometheus::core::Collector>; 2] =
        [Box::new(CHECKS.clone()), Box::new(APPLIES.clone())];
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
