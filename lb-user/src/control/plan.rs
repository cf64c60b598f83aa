//! Which row of which table each part of a configuration has.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::maglev;
use crate::{
    config::{
        Config,
        types::{Protocol, Service},
    },
    dataplane::Capacity,
};

/// A configuration laid out over the tables.
#[derive(Debug)]
pub(super) struct Plan {
    /// Row by row of the service table.
    pub(super) pools: Vec<Pool>,
    /// Row by row of the backend table.
    pub(super) backends: Vec<Backend>,
    /// By service and backend as they stand in the configuration, the backend's row.
    pub(super) rows: Vec<Vec<u16>>,
    /// Configured source addresses; those of one family stand next to each other.
    pub(super) sources: Vec<IpAddr>,
    /// First and last source port of full NAT.
    pub(super) ports: (u16, u16),
    /// Flows to have room for.
    max_flows: u32,
}

/// The part of a service that one address family has: virtual addresses, and the backends behind them.
#[derive(Debug)]
pub(super) struct Pool {
    /// Name of the service, for the log.
    pub(super) service: String,
    /// Virtual addresses.
    pub(super) binds: Vec<SocketAddr>,
    /// Transport protocol.
    pub(super) protocol: Protocol,
    /// First slot in the choice table.
    pub(super) first_slot: u32,
    /// Slots in the choice table.
    pub(super) table_size: u32,
    /// Rows of its backends.
    pub(super) backends: Vec<u16>,
}

/// A backend as a row of the table.
#[derive(Debug)]
pub(super) struct Backend {
    /// `SERVICE/BACKEND`, for the log.
    pub(super) name: String,
    /// Where packets go.
    pub(super) address: SocketAddr,
    /// Share of new flows.
    pub(super) weight: u16,
    /// What the choice table knows it by.
    pub(super) identity: u64,
    /// How long its flows may be quiet.
    pub(super) idle_timeout: Duration,
    /// Row of its service.
    pub(super) pool: usize,
    /// First source address and count of them; a row of its own, still empty, where none are configured.
    pub(super) sources: (u16, u16),
}

/// More than the tables have numbers for.
#[derive(Debug, thiserror::Error)]
#[error("{0} backends are more than the 65535 that the tables can number: use fewer")]
pub struct TooMany(usize);

impl Plan {
    pub(super) fn new(config: &Config) -> Result<Self, TooMany> {
        let mut sources = config.global.snat_addresses.clone();
        sources.sort_by_key(IpAddr::is_ipv6);
        let (first, last) = config.global.snat_ports;
        let mut plan = Self {
            pools: Vec::new(),
            backends: Vec::new(),
            rows: Vec::new(),
            sources,
            ports: (first.get(), last.get()),
            max_flows: config.global.max_flows,
        };
        for service in &config.services {
            plan.rows.push(vec![0; service.backends.len()]);
            for is_v4 in [true, false] {
                plan.add_pool(service, is_v4)?;
            }
        }
        Ok(plan)
    }

    fn add_pool(&mut self, service: &Service, is_v4: bool) -> Result<(), TooMany> {
        let mut pool = Pool {
            service: service.name.to_string(),
            binds: service
                .bind
                .iter()
                .copied()
                .filter(|bind| bind.is_ipv4() == is_v4)
                .collect(),
            protocol: service.protocol,
            first_slot: self
                .pools
                .last()
                .map_or(0, |pool| pool.first_slot + pool.table_size),
            table_size: service.table_size,
            backends: Vec::new(),
        };
        for (position, backend) in service.backends.iter().enumerate() {
            if backend.address.is_ipv4() != is_v4 {
                continue;
            }
            let row = u16::try_from(self.backends.len()).map_err(|_| TooMany(self.backends.len()))?;
            let sources = self.sources_for(is_v4, row)?;
            self.backends.push(Backend {
                name: format!("{}/{}", service.name, backend.name),
                address: backend.address,
                weight: backend.weight,
                identity: maglev::identity(backend.address),
                idle_timeout: service.idle_timeout,
                pool: self.pools.len(),
                sources,
            });
            pool.backends.push(row);
            if let Some(place) = self.rows.last_mut().and_then(|rows| rows.get_mut(position)) {
                *place = row;
            }
        }
        self.pools.push(pool);
        Ok(())
    }

    /// The configured source addresses of the family, or else the row after all configured ones that is the
    /// backend's own.
    fn sources_for(&self, is_v4: bool, row: u16) -> Result<(u16, u16), TooMany> {
        let number = |count: usize| u16::try_from(count).map_err(|_| TooMany(count));
        let first = self.sources.iter().position(|source| source.is_ipv4() == is_v4);
        let count = self
            .sources
            .iter()
            .filter(|source| source.is_ipv4() == is_v4)
            .count();
        match first {
            Some(first) => Ok((number(first)?, number(count)?)),
            None => Ok((number(self.sources.len() + usize::from(row))?, 1)),
        }
    }

    /// How large the tables have to be.
    pub(super) fn capacity(&self, workers: u32) -> Capacity {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // A family without virtual addresses has no flows.
        let flows = |is_v4: bool| {
            let served = self
                .pools
                .iter()
                .flat_map(|pool| &pool.binds)
                .any(|bind| bind.is_ipv4() == is_v4);
            if served { self.max_flows } else { 1 }
        };
        Capacity {
            services: count(self.pools.len()),
            virtual_addresses: count(self.pools.iter().map(|pool| pool.binds.len()).sum()),
            choice_slots: self.pools.iter().map(|pool| pool.table_size).sum(),
            backends: count(self.backends.len()),
            sources: count(self.sources.len() + self.backends.len()),
            flows_v4: flows(true),
            flows_v6: flows(false),
            workers,
        }
    }
}
