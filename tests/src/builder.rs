//! Building a lab.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::Result;

use crate::{
    BACKEND_PORT, CheckTimes, Dataplane, Family, Lab, Mode, Namespace, Role, RunDirectory, Service, Wiring,
    backend::Process,
    cabling::{self, Cable},
    command, forwarding, run_directory,
    topology::HOST_INTERFACE,
    tunnel_end::TunnelEnd,
    xdp_pass::XdpPass,
};

/// What a lab shall be.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(crate) wiring: Wiring,
    pub(crate) backends: u8,
    pub(crate) dataplane: Dataplane,
    pub(crate) check: CheckTimes,
    pub(crate) services: Vec<Service>,
    mtu: u32,
    checksum_offload: bool,
    kernel_forwarding: bool,
}

impl Builder {
    /// A two-armed lab with three backends, all offloads on, and no balancer running yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            wiring: Wiring::TwoArmed,
            backends: 3,
            dataplane: Dataplane::Auto,
            check: CheckTimes::BRISK,
            services: Service::usual(Mode::FullNat).into(),
            mtu: 1500,
            checksum_offload: true,
            kernel_forwarding: false,
        }
    }

    /// How it is cabled.
    #[must_use]
    pub fn wiring(self, wiring: Wiring) -> Self {
        Self { wiring, ..self }
    }

    /// How many backends there are.
    #[must_use]
    pub fn backends(self, backends: u8) -> Self {
        Self { backends, ..self }
    }

    /// The engine that the daemon will be told to use.
    #[must_use]
    pub fn dataplane(self, dataplane: Dataplane) -> Self {
        Self { dataplane, ..self }
    }

    /// Times of the health checks.
    #[must_use]
    pub fn check(self, check: CheckTimes) -> Self {
        Self { check, ..self }
    }

    /// The usual services in another mode, for which the backends are set up.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        self.services(Service::usual(mode).into())
    }

    /// What the balancer serves, instead of the usual services. Backends listen for all of it.
    #[must_use]
    pub fn services(self, services: Vec<Service>) -> Self {
        Self { services, ..self }
    }

    /// MTU of all links.
    #[must_use]
    pub fn mtu(self, mtu: u32) -> Self {
        Self { mtu, ..self }
    }

    /// Whether client and backends leave checksums to their NIC. On a veth that means that nobody computes
    /// them: the packet path sees unfinished ones.
    #[must_use]
    pub fn checksum_offload(self, checksum_offload: bool) -> Self {
        Self {
            checksum_offload,
            ..self
        }
    }

    /// Whether the balancer's kernel routes between its links, so that the client reaches the backends without
    /// Ballast. Off, nothing gets through but what Ballast forwards.
    #[must_use]
    pub fn kernel_forwarding(self, kernel_forwarding: bool) -> Self {
        Self {
            kernel_forwarding,
            ..self
        }
    }

    /// Builds the lab and starts its backends; removes what killed labs left behind first.
    pub fn build(self) -> Result<Lab> {
        run_directory::sweep()?;
        let directory = RunDirectory::create()?;
        let namespaces = self.create_namespaces(directory.identity())?;
        self.plug_cables(&namespaces)?;
        let (role, interface) = self.wiring.facing_balancer();
        let pass_program = namespaces[&role].run(|| XdpPass::attach(&interface))?;
        let tunnel_ends = self.prepare_backends(&namespaces)?;
        let backends = self.start_backends(&namespaces)?;
        Ok(Lab {
            daemon: None,
            baseline: None,
            backends,
            _pass_program: pass_program,
            _tunnel_ends: tunnel_ends,
            namespaces,
            builder: self,
            directory,
        })
    }

    fn create_namespaces(&self, identity: &str) -> Result<BTreeMap<Role, Namespace>> {
        let mut namespaces = BTreeMap::new();
        for role in self.wiring.roles(self.backends) {
            let namespace = Namespace::create(&format!("{identity}-{role}"))?;
            for (key, value) in self.sysctls(role) {
                namespace.sysctl(key, value)?;
            }
            namespace.ip_batch(&cabling::base_lines(role))?;
            namespaces.insert(role, namespace);
        }
        Ok(namespaces)
    }

    fn sysctls(&self, role: Role) -> Vec<(&'static str, &'static str)> {
        // No duplicate address detection: link-local addresses are usable at once.
        let mut settings = vec![
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            // A slow reader slows its sender down, instead of finding it all in up to 32 MB of buffers.
            ("ipv4/tcp_rmem", "4096 131072 1000000"),
        ];
        match role {
            Role::Client => settings.push(("ipv4/ip_local_port_range", "1024 65535")),
            Role::Balancer if self.kernel_forwarding => {
                settings.extend([("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
            }
            Role::Switch => settings.push(("ipv6/conf/default/disable_ipv6", "1")),
            Role::Balancer | Role::Backend(_) => {}
        }
        settings
    }

    fn plug_cables(&self, namespaces: &BTreeMap<Role, Namespace>) -> Result<()> {
        for Cable(near, far) in cabling::cables(self.wiring, self.backends) {
            let near_arguments = near.link_arguments(namespaces[&near.role].name());
            let far_arguments = far.link_arguments(namespaces[&far.role].name());
            let line = format!("link add {near_arguments} type veth peer {far_arguments}");
            command::ip(line.split(' '))?;
            for end in [near, far] {
                namespaces[&end.role].ip_batch(&end.up_lines(self.mtu))?;
            }
        }
        for (&role, namespace) in namespaces {
            self.set_routes_and_offloads(role, namespace)?;
        }
        Ok(())
    }

    fn set_routes_and_offloads(&self, role: Role, namespace: &Namespace) -> Result<()> {
        for family in Family::ALL {
            let Some(gateway) = self.wiring.gateway(role, family) else {
                return Ok(());
            };
            namespace.ip_batch(&format!("route add default via {gateway}\n"))?;
        }
        // With GRO a veth takes frames by NAPI, without which those sent to it by XDP_REDIRECT are dropped.
        let checksum = if self.checksum_offload { "on" } else { "off" };
        let mut offloads = vec!["-K", HOST_INTERFACE, "gro", "on", "tx", checksum];
        if self.dataplane == Dataplane::XdpGeneric {
            // As its users are told: it does not redirect what is longer than the MTU.
            offloads.extend(["tso", "off"]);
        }
        command::output(namespace.command("ethtool").args(offloads)).map(drop)
    }

    fn prepare_backends(&self, namespaces: &BTreeMap<Role, Namespace>) -> Result<Vec<TunnelEnd>> {
        let modes = self.services.iter().map(|service| service.mode).collect();
        let prepare = |role: Role| forwarding::prepare(&modes, &namespaces[&role]).transpose();
        (1..=self.backends)
            .map(Role::Backend)
            .filter_map(prepare)
            .collect()
    }

    fn start_backends(&self, namespaces: &BTreeMap<Role, Namespace>) -> Result<Vec<Process>> {
        let start = |role: Role| {
            let own =
                Family::ALL.map(|family| SocketAddr::new(self.wiring.address(role, family), BACKEND_PORT));
            let served = self
                .services
                .iter()
                .map(|service| service.listener(self.wiring, role));
            let addresses: BTreeSet<_> = served.chain(own).collect();
            Process::start(
                &role.to_string(),
                namespaces[&role].clone(),
                addresses.into_iter().collect(),
            )
        };
        (1..=self.backends).map(Role::Backend).map(start).collect()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
