//! What the host's own stack must not get, where it gets what is forwarded.

use super::Control;
use crate::{config::types::Mode, dataplane::KeptFromHost, next_hop::NextHops};

impl Control {
    /// Packets to services, and answers that go to clients or to the source addresses that full NAT may use with these next
    /// hops.
    #[must_use]
    pub fn kept_from_host(&self, next_hops: &NextHops) -> KeptFromHost {
        let plan = &self.plan;
        let services = plan.pools.iter().flat_map(|pool| {
            let binds = pool.binds.iter();
            binds.map(|bind| (pool.protocol, *bind))
        });
        let backends = |mode: Mode| {
            let backends = plan
                .placed()
                .map(|(_, backend)| (&plan.pools[backend.pool], backend));
            let of_mode = backends.filter(move |(pool, _)| pool.mode == mode);
            of_mode.map(|(pool, backend)| (pool.protocol, backend.address))
        };
        let configured = plan.sources.iter().flat_map(|(_, addresses)| addresses).copied();
        let of_next_hops = next_hops.values().flatten().map(|next_hop| next_hop.source);
        KeptFromHost {
            services: services.collect(),
            // Those that answer clients on another way than by us answer nobody here.
            backends: backends(Mode::FullNat).collect(),
            routing_backends: backends(Mode::Nat).collect(),
            sources: configured.chain(of_next_hops).collect(),
            ports: plan.ports,
        }
    }
}
