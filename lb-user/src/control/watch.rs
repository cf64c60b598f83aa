//! What is watched, as the packet path knows it: by rows.

use ipnet::IpNet;
use lb_common::{V6, address::AddressCell as _, memory::Memory};

use super::Control;
use crate::trace::{Client, Filter, Names, Watch};

/// There is nothing of that name to watch.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// No such service.
    #[error("there is no service `{0}`; `ballast stats` lists those there are")]
    NoService(String),
    /// No such backend.
    #[error("there is no backend `{0}`; `ballast backend list` lists those there are")]
    NoBackend(String),
    /// Several of them.
    #[error("several services have a backend `{0}`; write SERVICE/{0}")]
    Ambiguous(String),
}

/// Rows that are watched, plus one each; 0: any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    services: [u32; 2],
    backend: u32,
}

impl Control {
    /// The rows that a filter means.
    pub fn rows(&self, filter: &Filter) -> Result<Rows, FilterError> {
        let mut rows = Rows::default();
        if let Some(service) = &filter.service {
            rows.services = self.rows_of_service(service)?;
        }
        if let Some(backend) = &filter.backend {
            let row = self.row_of_backend(filter.service.as_deref(), backend)?;
            rows.backend = row + 1;
            if let Some(planned) = self.plan.backend(row) {
                // Only its packets can turn out to be the backend's.
                rows.services = [u32::from(self.plan.pools[planned.pool].row) + 1, 0];
            }
        }
        Ok(rows)
    }

    /// What rows are called.
    #[must_use]
    pub fn names_of_rows(&self) -> Names {
        let pools = self.plan.pools.iter();
        Names {
            backends: self.names(),
            services: pools
                .map(|pool| (u32::from(pool.row), pool.service.clone()))
                .collect(),
        }
    }

    /// One for each address family, or one for both.
    fn rows_of_service(&self, name: &str) -> Result<[u32; 2], FilterError> {
        let pools = self.plan.pools.iter().filter(|pool| pool.service == name);
        let mut rows = pools.map(|pool| u32::from(pool.row) + 1);
        match (rows.next(), rows.next()) {
            (Some(first), second) => Ok([first, second.unwrap_or_default()]),
            (None, _) => Err(FilterError::NoService(name.to_owned())),
        }
    }

    fn row_of_backend(&self, service: Option<&str>, name: &str) -> Result<u32, FilterError> {
        let configured = self.plan.configured(&self.config);
        let mut rows = configured.filter_map(|(of, backend, row)| {
            let (of, backend) = (of.name.as_str(), backend.name.as_str());
            let is_of_service = service.is_none_or(|service| service == of);
            let is_called = backend == name || name.split_once('/') == Some((of, backend));
            (is_of_service && is_called).then_some(row)
        });
        match (rows.next(), rows.next()) {
            (Some(row), None) => Ok(row),
            (Some(_), Some(_)) => Err(FilterError::Ambiguous(name.to_owned())),
            (None, _) => Err(FilterError::NoBackend(name.to_owned())),
        }
    }
}

/// Has the packet path watch from now on, and counts anew.
pub(crate) fn begin(memory: &Memory<'_>, watch: &Watch, rows: Rows) {
    memory.watch.number.store(0);
    for note in memory.notes {
        note.sightings.store(0);
        note.unshown.store(0);
    }
    memory.watch.rate.store(watch.rate);
    memory.watch.length.store(watch.length);
    aim(memory, rows);
    let (network, mask, port) = client(watch.filter.client);
    memory.watch.client.store(network);
    memory.watch.mask.store(mask);
    memory.watch.client_port.store(port);
}

/// Has it watch these rows.
pub(crate) fn aim(memory: &Memory<'_>, rows: Rows) {
    for (cell, row) in memory.watch.services.iter().zip(rows.services) {
        cell.store(row);
    }
    memory.watch.backend.store(rows.backend);
}

/// Has it go on until then, in ticks of its clock.
pub(crate) fn go_on(memory: &Memory<'_>, number: u32, until: u32) {
    memory.watch.until.store(until);
    memory.watch.number.store(number);
}

/// Has it watch no more.
pub(crate) fn end(memory: &Memory<'_>) {
    memory.watch.number.store(0);
}

/// A client's network as it is compared, which of its bits count, and its port.
fn client(client: Option<Client>) -> (V6, V6, u32) {
    let Some(Client { network, port }) = client else {
        return (V6::default(), V6::default(), 0);
    };
    let (address, length) = match network {
        IpNet::V4(network) => (network.network().to_ipv6_mapped(), 96 + network.prefix_len()),
        IpNet::V6(network) => (network.network(), network.prefix_len()),
    };
    let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or_default();
    (
        V6::from_octets(address.octets()),
        V6::from_octets(mask.to_be_bytes()),
        port.map_or(0, u32::from),
    )
}
