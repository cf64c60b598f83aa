//! The statistics document, from tables and standings.

use std::collections::BTreeMap;

use lb_common::{Reason, layout::BackendCounters, memory::Memory};

use super::{Control, standing::Standing};
use crate::{
    config::types::{self, Admin, CheckKind, Health},
    dataplane::Losses,
    health::Outcome,
    stats::{Backend, Check, Counters, Packets, Service, ServiceState, Statistics, Verdicts},
};

impl Control {
    /// Everything that is counted, now.
    #[must_use]
    pub fn statistics(&self, memory: &Memory<'_>, dataplane: &str) -> Statistics {
        let services = self.config.services.iter().zip(&self.plan.rows);
        Statistics {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dataplane: dataplane.to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            packets: packets(memory),
            services: services
                .map(|(service, rows)| self.service(memory, service, rows))
                .collect(),
        }
    }

    fn service(&self, memory: &Memory<'_>, service: &types::Service, rows: &[u32]) -> Service {
        let pace = self.paces.of_service(&service.name);
        let backends = service.backends.iter().zip(rows);
        let backends: Vec<Backend> = backends
            .map(|(backend, row)| self.backend(memory, backend, *row as usize))
            .collect();
        Service {
            name: service.name.to_string(),
            bind: service.bind.iter().copied().collect(),
            protocol: service.protocol.as_str().to_owned(),
            mode: service.mode.as_str().to_owned(),
            scheduler: service.scheduler.as_str().to_owned(),
            state: state(&backends),
            counters: pace.tell(
                backends
                    .iter()
                    .fold(Counters::default(), |sum, backend| add(&sum, &backend.counters)),
            ),
            backends,
        }
    }

    fn backend(&self, memory: &Memory<'_>, backend: &types::Backend, row: usize) -> Backend {
        let standing = &self.standings[row];
        Backend {
            name: backend.name.to_string(),
            address: backend.address,
            state: word(backend, standing).to_owned(),
            weight: backend.weight,
            counters: self.paces.of_backend(row).tell(counters(memory, row)),
            check: check(standing, &backend.health),
        }
    }
}

fn packets(memory: &Memory<'_>) -> Packets {
    let sum = |cell: &dyn Fn(&lb_common::layout::PacketCounters) -> u64| {
        memory.packet_counters.iter().map(cell).sum()
    };
    let [pass, tx, redirect, drop] = memory.verdicts();
    let reasons: BTreeMap<String, u64> = Reason::ALL
        .iter()
        .map(|reason| {
            (
                reason.name().to_owned(),
                sum(&|counters| counters.reasons[*reason as usize].load()),
            )
        })
        .collect();
    Packets {
        total: pass + tx + redirect + drop,
        verdicts: Verdicts {
            pass,
            tx,
            redirect,
            drop,
        },
        reasons,
        lost: Losses::default(),
    }
}

/// A backend's counters, worker by worker.
pub(super) fn counters_of<'m>(
    memory: &Memory<'m>,
    row: usize,
) -> impl Iterator<Item = &'m BackendCounters> + Clone + use<'m> {
    let capacity = memory.settings.backend_capacity.load() as usize;
    memory.backend_counters.iter().skip(row).step_by(capacity.max(1))
}

/// A backend's flows: those that are active, and those that were ever opened.
pub(super) fn flows(memory: &Memory<'_>, row: usize) -> (u64, u64) {
    let rows = counters_of(memory, row);
    // Closed first: a flow that opens and closes in between is then counted as active and not below nothing.
    let closed: u64 = rows.clone().map(|counters| counters.flows_closed.load()).sum();
    let opened: u64 = rows.map(|counters| counters.flows_opened.load()).sum();
    (opened.saturating_sub(closed), opened)
}

/// A backend's counters, but for what has to be looked at over time.
fn counters(memory: &Memory<'_>, row: usize) -> Counters {
    let (flows_active, flows_total) = flows(memory, row);
    let rows = counters_of(memory, row);
    let sum = |cell: fn(&BackendCounters) -> u64| rows.clone().map(cell).sum::<u64>();
    Counters {
        flows_active,
        flows_total,
        packets_in: sum(|counters| counters.packets_in.load()),
        bytes_in: sum(|counters| counters.bytes_in.load()),
        packets_out: sum(|counters| counters.packets_out.load()),
        bytes_out: sum(|counters| counters.bytes_out.load()),
        retries: sum(|counters| counters.retried.load()),
        refused: sum(|counters| counters.refused.load()),
        resets: sum(|counters| counters.resets.load()),
        ..Counters::default()
    }
}

fn add(sum: &Counters, other: &Counters) -> Counters {
    Counters {
        flows_active: sum.flows_active + other.flows_active,
        flows_total: sum.flows_total + other.flows_total,
        packets_in: sum.packets_in + other.packets_in,
        bytes_in: sum.bytes_in + other.bytes_in,
        packets_out: sum.packets_out + other.packets_out,
        bytes_out: sum.bytes_out + other.bytes_out,
        retries: sum.retries + other.retries,
        refused: sum.refused + other.refused,
        resets: sum.resets + other.resets,
        // Those of a sum are no sums.
        ..Counters::default()
    }
}

fn state(backends: &[Backend]) -> ServiceState {
    let has = |state: &str| backends.iter().any(|backend| backend.state == state);
    if !has("up") {
        ServiceState::Down
    } else if has("down") {
        ServiceState::Degraded
    } else {
        ServiceState::Up
    }
}

/// What becomes of new flows to a backend, in one word.
fn word(backend: &types::Backend, standing: &Standing) -> &'static str {
    match (backend.state, standing.word()) {
        (Admin::Maint, _) => "maint",
        (Admin::Drain | Admin::Ready, "up") if backend.is_drained() => "drain",
        (Admin::Drain | Admin::Ready, word) => word,
    }
}

fn check(standing: &Standing, health: &Health) -> Check {
    let is_checked = match health {
        Health::Checked(check) => check.kind != CheckKind::None,
        Health::Tracked { .. } => true,
    };
    let status = match (is_checked, standing.report()) {
        (false, _) => "none",
        (_, None) => "pending",
        (_, Some(report)) => match report.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
        },
    };
    let detail = match (standing.unresolved(), standing.report()) {
        (Some(reason), _) if standing.is_up() => reason.to_owned(),
        (_, Some(report)) => report.detail.to_string(),
        (_, None) => "not checked yet".to_owned(),
    };
    let milliseconds = standing.report().map_or(0, |report| report.duration.as_millis());
    Check {
        status: status.to_owned(),
        detail,
        duration_ms: u64::try_from(milliseconds).unwrap_or(u64::MAX),
        changed_seconds_ago: standing.changed().elapsed().as_secs(),
        transitions: standing.transitions(),
    }
}
