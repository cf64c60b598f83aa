//! The answers to what the API asks.

use std::net::SocketAddr;

use super::{AttachedInterface, Status};
use crate::{
    control::Control,
    dataplane::Xdp,
    stats::{ServiceState, Statistics},
};

pub(super) fn statistics(control: &Control, dataplane: &Xdp) -> Statistics {
    control.statistics(&dataplane.memory(), dataplane.mode().as_str())
}

pub(super) fn status(control: &Control, dataplane: &Xdp, stats: Option<SocketAddr>) -> Status {
    let statistics = statistics(control, dataplane);
    let count = |state| {
        statistics
            .services
            .iter()
            .filter(|service| service.state == state)
            .count()
    };
    let mode = dataplane.mode().as_str();
    let interfaces = dataplane.interfaces().iter().map(|interface| AttachedInterface {
        name: interface.clone(),
        mode: mode.to_owned(),
        why: dataplane.fallback().map(ToOwned::to_owned),
    });
    Status {
        pid: std::process::id(),
        dataplane: mode.to_owned(),
        interfaces: interfaces.collect(),
        stats,
        services_up: count(ServiceState::Up),
        services_degraded: count(ServiceState::Degraded),
        services_down: count(ServiceState::Down),
        version: statistics.version,
        uptime_seconds: statistics.uptime_seconds,
    }
}
