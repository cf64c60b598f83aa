//! Giving rows to services, backends and source addresses.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use lb_common::layout::{MAX_BACKENDS, Retries, Span};

use super::{
    borders,
    inheritance::Inheritance,
    maglev,
    plan::{self, Backend, Life, List, Part, Plan, PlanError, Pool},
    taken::Taken,
};
use crate::config::{
    Config,
    types::{self, Service, SourceRules, SynCookies},
};

/// A plan under way.
pub(super) struct Layout<'i> {
    inherited: &'i Inheritance,
    plan: Plan,
    /// Rows of services that nobody has, lowest last.
    free_services: Vec<u16>,
    /// Rows of backends that nobody has, lowest last.
    free_backends: Vec<u32>,
    slots: Taken,
    borders: Taken,
    /// How many half-open flows of a service are many.
    many_half_open: u32,
}

impl<'i> Layout<'i> {
    pub(super) fn new(inherited: &'i Inheritance) -> Self {
        let mut slots = Taken::default();
        for span in inherited.slots.values() {
            slots.add(span.first, span.count);
        }
        let mut borders = Taken::default();
        for (first, list) in &inherited.lists {
            borders.add(*first, length(list));
        }
        // A service that has gone leaves its row to the flows of its backends, which are known by it.
        let behind = inherited.backends.keys().map(|(service, _)| *service);
        let services = inherited.services.values().copied().chain(behind);
        let services: BTreeSet<u16> = services.collect();
        let backends: BTreeSet<u32> = inherited.backends.values().copied().collect();
        // One is added to a service's row where 0 means none: the last number is left out.
        let service_rows = 0..u16::try_from(inherited.sizes.services).unwrap_or(u16::MAX);
        let backend_rows = 0..u32::try_from(inherited.sizes.backends).unwrap_or(u32::MAX);
        Self {
            free_services: service_rows.rev().filter(|row| !services.contains(row)).collect(),
            free_backends: backend_rows.rev().filter(|row| !backends.contains(row)).collect(),
            inherited,
            plan: Plan {
                was_chosen: inherited.chosen.clone(),
                ..Plan::default()
            },
            slots,
            borders,
            many_half_open: 0,
        }
    }

    pub(super) fn plan(mut self, config: &Config) -> Result<Plan, PlanError> {
        let backends = config.services.iter().map(|service| service.backends.len()).sum();
        if backends > MAX_BACKENDS as usize {
            return Err(PlanError::TooMany(backends));
        }
        let (first, last) = config.global.snat_ports;
        self.plan.ports = (first.get(), last.get());
        self.many_half_open = plan::many_half_open(config.global.max_flows);
        self.add_sources(&config.global.snat_addresses)?;
        self.plan.denied = self.add_list(&config.global.sources)?;
        for service in &config.services {
            refuse_crowd(service)?;
            let denied = self.add_list(&service.sources)?;
            self.plan.rows.push(vec![0; service.backends.len()]);
            for part in Part::of(service) {
                self.add_pool(service, *part, denied)?;
            }
        }
        Ok(self.plan)
    }

    /// The same addresses keep their rows; others get rows that no packet reads yet.
    fn add_sources(&mut self, addresses: &[IpAddr]) -> Result<(), PlanError> {
        let inherited = self.inherited;
        let end = u32::try_from(inherited.sizes.shared_sources).unwrap_or(u32::MAX);
        let mut taken = Taken::default();
        for (first, addresses) in &inherited.sources {
            taken.add(*first, length(addresses));
        }
        for is_v4 in [true, false] {
            let family = addresses
                .iter()
                .copied()
                .filter(|address| address.is_ipv4() == is_v4);
            let family: Vec<IpAddr> = family.collect();
            if family.is_empty() {
                continue;
            }
            let same = inherited
                .sources
                .iter()
                .find(|(_, addresses)| **addresses == family);
            let first = match same {
                Some((first, _)) => Some(*first),
                None => taken.take(length(&family), end),
            };
            let first = first.ok_or(PlanError::NoRoom("source address"))?;
            self.plan.sources.push((first, family));
        }
        Ok(())
    }

    /// Rows for a list of networks: those that have it already, or else some that no packet reads yet.
    fn add_list(&mut self, rules: &SourceRules) -> Result<Span, PlanError> {
        let borders = borders::of(rules);
        if borders.is_empty() {
            return Ok(Span::default());
        }
        if let Some(list) = self.plan.lists.iter().find(|list| list.borders == borders) {
            return Ok(list.rows);
        }
        let inherited = self.inherited;
        let same = inherited
            .lists
            .iter()
            .find(|(_, inherited)| **inherited == borders);
        let first = match same {
            Some((first, _)) => Some(*first),
            None => self.borders.take(length(&borders), inherited.sizes.borders),
        };
        let rows = Span {
            first: first.ok_or(PlanError::NoRoom("list of networks"))?,
            count: length(&borders),
        };
        self.plan.lists.push(List { rows, borders });
        Ok(rows)
    }

    fn add_pool(&mut self, service: &Service, part: Part, denied: Span) -> Result<(), PlanError> {
        let binds = service.bind.iter().copied().filter(|bind| part.has(*bind));
        let mut pool = Pool {
            service: service.name.to_string(),
            binds: binds.collect(),
            protocol: service.protocol,
            mode: service.mode,
            row: 0,
            first_slot: 0,
            table_size: service.table_size,
            scheduler: service.scheduler,
            maxconn: service.maxconn,
            allbackups: service.allbackups,
            denied,
            limits: service.limits,
            cookies_from: match service.syn_cookies {
                SynCookies::Auto => Some(self.many_half_open),
                SynCookies::Always => Some(0),
                SynCookies::Never => None,
            },
            verifies: service.verify_checksums,
            backends: Vec::new(),
        };
        pool.row = self.service_row(&pool)?;
        pool.first_slot = self.first_slot(&pool)?;
        for (position, backend) in service.backends.iter().enumerate() {
            if !part.has(backend.address) {
                continue;
            }
            let row = self.add_backend(service, backend, pool.row)?;
            pool.backends.push(row);
            if let Some(place) = self.plan.rows.last_mut().and_then(|rows| rows.get_mut(position)) {
                *place = row;
            }
        }
        self.plan.pools.push(pool);
        Ok(())
    }

    /// The row that one of its virtual addresses has, unless another service of the configuration was faster.
    fn service_row(&mut self, pool: &Pool) -> Result<u16, PlanError> {
        let inherited = pool
            .binds
            .iter()
            .filter_map(|bind| self.inherited.services.get(&(pool.protocol, *bind)).copied())
            .find(|row| self.plan.pools.iter().all(|pool| pool.row != *row));
        inherited
            .or_else(|| self.free_services.pop())
            .ok_or(PlanError::NoRoom("service"))
    }

    /// Where its choices are, or else a place for them. Without virtual addresses it needs none.
    fn first_slot(&mut self, pool: &Pool) -> Result<u32, PlanError> {
        if pool.binds.is_empty() {
            return Ok(0);
        }
        match self.inherited.slots.get(&pool.row) {
            Some(slots) if slots.count == pool.table_size => Ok(slots.first),
            _ => {
                let first = self.slots.take(pool.table_size, self.inherited.sizes.choices);
                first.ok_or(PlanError::NoRoom("choice table"))
            }
        }
    }

    fn add_backend(
        &mut self,
        service: &Service,
        backend: &types::Backend,
        service_row: u16,
    ) -> Result<u32, PlanError> {
        let address = backend.address;
        let inherited = self.inherited.backends.get(&(service_row, address)).copied();
        let row = inherited
            .or_else(|| self.free_backends.pop())
            .ok_or(PlanError::NoRoom("backend"))?;
        let (sources, has_own_source) = self.sources_for(address, row)?;
        let placed = Backend {
            name: format!("{}/{}", service.name, backend.name),
            address,
            weight: backend.weight,
            maxconn: backend.maxconn,
            backup: backend.backup,
            drained: backend.is_drained(),
            slowstart: backend.slowstart,
            identity: maglev::identity(address),
            life: Life::of(service),
            retries: Retries {
                most: service.retries,
                hides_refusals: service.hide_refused,
            },
            pool: self.plan.pools.len(),
            sources,
            has_own_source,
        };
        let place = row as usize;
        if self.plan.backends.len() <= place {
            self.plan.backends.resize_with(place + 1, || None);
        }
        self.plan.backends[place] = Some(placed);
        Ok(row)
    }

    /// The configured source addresses of the family, or else the row that is the backend's own; and which.
    fn sources_for(&self, address: SocketAddr, row: u32) -> Result<(Span, bool), PlanError> {
        let configured = self
            .plan
            .sources
            .iter()
            .find(|(_, sources)| sources.iter().all(|source| source.is_ipv4() == address.is_ipv4()));
        if let Some((first, sources)) = configured {
            let (first, count) = (*first, length(sources));
            return Ok((Span { first, count }, false));
        }
        let own = self.inherited.sizes.shared_sources + row as usize;
        let first = u32::try_from(own).map_err(|_| PlanError::NoRoom("source address"))?;
        Ok((Span { first, count: 1 }, true))
    }
}

/// Each backend needs a slot.
fn refuse_crowd(service: &Service) -> Result<(), PlanError> {
    let (backends, slots) = (service.backends.len(), service.table_size);
    if backends > slots as usize {
        return Err(PlanError::TooManyOfOne {
            service: service.name.to_string(),
            backends,
            slots,
        });
    }
    Ok(())
}

fn length<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}
