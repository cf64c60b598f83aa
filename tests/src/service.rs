//! Services of the lab's balancer.

use std::net::SocketAddr;

use lb_user::config::types::{Protocol, Scheduler};

use crate::{BACKEND_PORT, ECHO_PORT, Family, Mode, Role, WEB_PORT, Wiring};

/// A service, over all backends of the lab.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What its clients speak.
    pub protocol: Protocol,
    /// Family of its virtual address.
    pub family: Family,
    /// Its port.
    pub port: u16,
    /// The backends' port, in modes that translate ports.
    pub backend_port: u16,
    /// How packets reach the backends.
    pub mode: Mode,
    /// Who gets a new flow.
    pub scheduler: Scheduler,
}

impl Service {
    /// The lab's usual four: `web` and `web6` (TCP), `echo` and `echo6` (UDP).
    #[must_use]
    pub fn usual(mode: Mode) -> [Self; 4] {
        let service = |name: &str, protocol, family, port| Self {
            name: name.to_owned(),
            protocol,
            family,
            port,
            backend_port: BACKEND_PORT,
            mode,
            scheduler: Scheduler::Maglev,
        };
        [
            service("web", Protocol::Tcp, Family::V4, WEB_PORT),
            service("web6", Protocol::Tcp, Family::V6, WEB_PORT),
            service("echo", Protocol::Udp, Family::V4, ECHO_PORT),
            service("echo6", Protocol::Udp, Family::V6, ECHO_PORT),
        ]
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.family.vip(), self.port)
    }

    /// The backend's address in the configuration.
    pub(crate) fn backend(&self, wiring: Wiring, role: Role) -> SocketAddr {
        let port = if self.mode.backends_have_the_vips() {
            self.port
        } else {
            self.backend_port
        };
        SocketAddr::new(wiring.address(role, self.mode.backend_family(self.family)), port)
    }

    /// Where a backend listens for its clients.
    pub(crate) fn listener(&self, wiring: Wiring, role: Role) -> SocketAddr {
        if self.mode.backends_have_the_vips() {
            self.address()
        } else {
            self.backend(wiring, role)
        }
    }
}
