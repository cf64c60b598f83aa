//! What the host's own stack must not get, where it gets what is forwarded.

use super::Control;
use crate::{dataplane::KeptFromHost, next_hop::NextHops};

impl Control {
    /// Packets to services, and answers to all source addresses that full NAT may use with these next hops.
    #[must_use]
    pub fn kept_from_host(&self, next_hops: &NextHops) -> KeptFromHost {
        let plan = &self.plan;
        let services = plan.pools.iter().flat_map(|pool| {
            let binds = pool.binds.iter();
            binds.map(|bind| (pool.protocol, *bind))
        });
        let backends = plan
            .placed()
            .map(|(_, backend)| (plan.pools[backend.pool].protocol, backend.address));
        let configured = plan.sources.iter().flat_map(|(_, addresses)| addresses).copied();
        let of_next_hops = next_hops.values().flatten().map(|next_hop| next_hop.source);
        KeptFromHost {
            services: services.collect(),
            backends: backends.collect(),
            sources: configured.chain(of_next_hops).collect(),
            ports: plan.ports,
        }
    }
}
