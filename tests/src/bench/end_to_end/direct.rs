//! The ways that no balancer is on: one cable between client and backend, and two with a router between them.
//!
//! They are there all the time, so that a balancer can be compared with them from one second to the next.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

use super::site::set_offloads;
use crate::{BACKEND_PORT, Lab, Namespace, backend::Process, command, xdp_pass::XdpPass};

/// The backend, by the one cable.
pub(super) const BY_CABLE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The backend, by the router.
pub(super) const BY_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 2);

/// The cable from the client to the router.
const ROUTED: &str = "routed";

/// What they consist of besides their cables, which go with the namespaces that they are plugged into.
pub(super) struct Direct {
    // In the order in which they have to go.
    _echo: Process,
    _pass_program: XdpPass,
    _router: Namespace,
}

impl Direct {
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let (client, backend) = (lab.client(), lab.backends()[0].namespace());
        let router = Namespace::create(&format!("{}-router", lab.directory().identity()))?;
        router.sysctl("ipv4/ip_forward", "1")?;
        plug("direct", (client, "10.9.0.1"), (backend, "10.9.0.2"))?;
        plug(ROUTED, (client, "10.9.1.1"), (&router, "10.9.1.2"))?;
        plug("backend", (&router, "10.9.2.1"), (backend, "10.9.2.2"))?;
        client.ip_batch("route add 10.9.2.0/24 via 10.9.1.2\n")?;
        backend.ip_batch("route add 10.9.1.0/24 via 10.9.2.1\n")?;
        // As the lab has it at the client's end of the balancer's cable, where it costs what the kernel forwards a copy.
        let pass_program = client.run(|| XdpPass::attach(ROUTED))?;
        // The lab's own echo listens on the lab's own addresses.
        let addresses = [BY_CABLE, BY_ROUTER].map(|address| SocketAddr::new(address.into(), BACKEND_PORT));
        Ok(Self {
            _echo: Process::start("direct", backend.clone(), addresses.to_vec())?,
            _pass_program: pass_program,
            _router: router,
        })
    }
}

/// Plugs a cable into two namespaces, which have these addresses on it.
fn plug(interface: &str, near: (&Namespace, &str), far: (&Namespace, &str)) -> Result<()> {
    let line = format!(
        "link add {interface} netns {} type veth peer {interface} netns {}",
        near.0.name(),
        far.0.name()
    );
    command::ip(line.split(' '))?;
    for (namespace, address) in [near, far] {
        namespace.ip_batch(&format!(
            "address add {address}/24 dev {interface}\nlink set {interface} up\n"
        ))?;
        set_offloads(namespace, interface)?;
    }
    Ok(())
}
