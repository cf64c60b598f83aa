//! The answers to what the API asks.

use std::net::SocketAddr;

use super::{AttachedInterface, Status};
use crate::{
    control::Control,
    dataplane::Engine,
    stats::{ServiceState, Statistics},
};

pub(super) fn statistics(control: &Control, engine: &Engine) -> Statistics {
    let mut statistics = control.statistics(&engine.memory(), engine.name());
    statistics.packets.lost = engine.losses();
    statistics
}

pub(super) fn status(control: &Control, engine: &Engine, stats: Option<SocketAddr>) -> Status {
    let statistics = statistics(control, engine);
    let count = |state| {
        statistics
            .services
            .iter()
            .filter(|service| service.state == state)
            .count()
    };
    let mode = engine.name();
    let interfaces = engine.interfaces().iter().map(|interface| AttachedInterface {
        name: interface.clone(),
        mode: mode.to_owned(),
        attached: engine.is_attached(interface),
        why: engine.fallback().map(ToOwned::to_owned),
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
