//! Which backend a flow would go to: the packet path's own chooser is asked, over the tables that packets are forwarded by.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    Address, Port, Reason, Tuple, V4, V6, access,
    address::TCP,
    choice, flow,
    layout::Service,
    memory::{Memory, Worker},
    service,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Control, plan::Backend, standing::Standing, write};
use crate::config::types::{Protocol, Scheduler};

/// Which flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LookUp {
    /// Its client.
    #[param(value_type = String)]
    pub from: SocketAddr,
    /// The virtual address.
    #[param(value_type = String)]
    pub to: SocketAddr,
    /// `tcp`, the default, or `udp`.
    #[serde(default = "tcp")]
    pub protocol: String,
}

/// Where it would go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// The service, if the address is one's.
    pub service: Option<String>,
    /// `SERVICE/BACKEND`, if one takes it.
    pub backend: Option<String>,
    /// Where that is.
    #[schema(value_type = Option<String>)]
    pub address: Option<SocketAddr>,
    /// Why it goes there, or nowhere.
    pub why: String,
    /// The service's backends of the address's family, with what keeps each from taking the flow.
    pub candidates: Vec<Candidate>,
}

/// A backend that could take the flow, or could if it were not for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// `SERVICE/BACKEND`.
    pub backend: String,
    /// Share of new flows, beside the others'.
    pub weight: u16,
    /// What keeps it from new flows; absent: nothing.
    pub obstacle: Option<String>,
}

/// Nothing can be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// No packet has one address of each.
    #[error("{0} and {1} are not of one family: give two IPv4 or two IPv6 addresses")]
    Families(IpAddr, IpAddr),
    /// Neither TCP nor UDP.
    #[error("{0:?} is not a protocol that is balanced: write tcp or udp")]
    Protocol(String),
    /// The engine has no clock.
    #[error("cannot read the flow table's clock: {0}")]
    Clock(String),
}

fn tcp() -> String {
    Protocol::Tcp.as_str().to_owned()
}

impl Control {
    /// Where a flow goes that the table knows, or would go if its first packet came now.
    pub fn look_up(&self, memory: &Memory<'_>, now: u32, flow: &LookUp) -> Result<Found, LookUpError> {
        let protocol = Protocol::ALL
            .iter()
            .find(|protocol| protocol.as_str() == flow.protocol);
        let protocol = protocol.ok_or_else(|| LookUpError::Protocol(flow.protocol.clone()))?;
        let number = write::number(*protocol);
        let ports = (Port::new(flow.from.port()), Port::new(flow.to.port()));
        // Which worker counts does not matter to who only reads.
        let tables = Worker::new(*memory, 0, now);
        match (flow.from.ip(), flow.to.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let tuple = tuple(V4(src.octets()), V4(dst.octets()), ports);
                Ok(self.find(memory, &tables, &tuple, number))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let tuple = tuple(
                    V6::from_octets(src.octets()),
                    V6::from_octets(dst.octets()),
                    ports,
                );
                Ok(self.find(memory, &tables, &tuple, number))
            }
            (from, to) => Err(LookUpError::Families(from, to)),
        }
    }

    fn find<A: Address>(
        &self,
        memory: &Memory<'_>,
        tables: &Worker<'_>,
        tuple: &Tuple<A>,
        protocol: u8,
    ) -> Found {
        let Some(row) = service::find(tables, memory.settings, tuple, protocol) else {
            return self.nowhere(
                None,
                "no service has this address and port: the host gets the packet",
            );
        };
        let pool = self.plan.pools.iter().position(|pool| u32::from(pool.row) == row);
        let record = memory.services.get(row as usize);
        let (Some(pool), Some(record)) = (pool, record) else {
            return self.nowhere(None, Reason::NotReady.description());
        };
        if let Ok(Some(hit)) = flow::find(tables, memory.settings, tuple, protocol) {
            let (backend, kind) = (
                hit.way.backend(),
                if protocol == TCP { "connection" } else { "flow" },
            );
            return self.goes_to(
                pool,
                backend,
                &format!("the flow table has this {kind}, which stays where it is"),
            );
        }
        let lists = [&memory.settings.denied, &record.denied];
        let asked = lists.map(|list| access::ask(tables, memory.settings, list, tuple.src));
        if let Some(reason) = asked.into_iter().find_map(Result::err) {
            return self.nowhere(Some(pool), reason.description());
        }
        match choice::pick(tables, &aside(record), tuple) {
            _ if is_full(record) => self.nowhere(Some(pool), Reason::ServiceFull.description()),
            Ok(backend) => self.goes_to(pool, backend, how(self.plan.pools[pool].scheduler)),
            Err(reason) => self.nowhere(Some(pool), reason.description()),
        }
    }

    fn goes_to(&self, pool: usize, row: u32, why: &str) -> Found {
        let backend = self.plan.backend(row);
        Found {
            backend: backend.map(|backend| backend.name.clone()),
            address: backend.map(|backend| backend.address),
            ..self.nowhere(Some(pool), why)
        }
    }

    fn nowhere(&self, pool: Option<usize>, why: &str) -> Found {
        let pool = pool.map(|number| &self.plan.pools[number]);
        let rows = pool.map(|pool| pool.backends.as_slice()).unwrap_or_default();
        let candidates = rows.iter().filter_map(|row| {
            let backend = self.plan.backend(*row)?;
            Some(Candidate {
                backend: backend.name.clone(),
                weight: backend.weight,
                obstacle: obstacle(&self.standings[*row as usize], backend),
            })
        });
        Found {
            service: pool.map(|pool| pool.service.clone()),
            backend: None,
            address: None,
            why: why.to_owned(),
            candidates: candidates.collect(),
        }
    }
}

/// The service as it is now, in memory that is nobody else's: whose turn it is moves on when it is asked.
fn aside(record: &Service) -> Service {
    let aside = Service::default();
    aside.choices.store(record.choices.load());
    aside.turn.store(record.turn.load());
    aside.scheduler.store(record.scheduler.load());
    aside
}

fn is_full(record: &Service) -> bool {
    let most = record.maxconn.load();
    most != 0 && record.active.load() >= u64::from(most)
}

fn how(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Maglev => {
            "scheduler maglev: a hash of both addresses and ports has it, and always will while the same backends are up"
        }
        Scheduler::Source => {
            "scheduler source: a hash of the client's address has it, and always will while the same backends are up"
        }
        Scheduler::RoundRobin => "scheduler round-robin: it is next, if no other flow comes before",
        Scheduler::LeastConn => {
            "scheduler least-conn: it has the fewest active flows for its weight, if no other flow comes before"
        }
    }
}

fn obstacle(standing: &Standing, backend: &Backend) -> Option<String> {
    if !standing.is_up() {
        let detail = standing
            .report()
            .map_or("not checked yet", |report| report.detail.as_ref());
        return Some(format!("down: {detail}"));
    }
    if backend.drained {
        return Some("drained, or its weight is 0".to_owned());
    }
    let unresolved = standing.unresolved().filter(|_| !standing.takes_flows());
    unresolved.map(|reason| format!("no way to it: {reason}"))
}

fn tuple<A: Address>(src: A, dst: A, (src_port, dst_port): (Port, Port)) -> Tuple<A> {
    Tuple {
        src,
        dst,
        src_port,
        dst_port,
    }
}
