//! Forwarding modes of the lab's services, and what each asks of a backend.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{BACKEND_PORT, ECHO_PORT, Family, Namespace, WEB_PORT, topology::HOST_INTERFACE};

/// How packets reach the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Source and destination are translated.
    FullNat,
    /// The destination is translated; the lab's backends route by the balancer anyway.
    Nat,
    /// The MAC addresses change.
    Dsr,
}

impl Mode {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullNat => "full-nat",
            Self::Nat => "nat",
            Self::Dsr => "dsr",
        }
    }

    /// The port of the backends of a service on `port`.
    pub(crate) fn backend_port(self, port: u16) -> u16 {
        if self.backends_have_the_vips() {
            port
        } else {
            BACKEND_PORT
        }
    }

    /// Where backends listen besides their own addresses.
    pub(crate) fn virtual_addresses(self) -> Vec<SocketAddr> {
        if !self.backends_have_the_vips() {
            return Vec::new();
        }
        let of_port = |port| Family::ALL.map(|family| SocketAddr::new(family.vip(), port));
        [WEB_PORT, ECHO_PORT].into_iter().flat_map(of_port).collect()
    }

    /// Sets a backend's host up for it, as README tells users to.
    pub(crate) fn prepare(self, backend: &Namespace) -> Result<()> {
        if !self.backends_have_the_vips() {
            return Ok(());
        }
        // It has the virtual addresses, and tells nobody.
        for interface in ["all", HOST_INTERFACE] {
            backend.sysctl(&format!("ipv4/conf/{interface}/arp_ignore"), "1")?;
            backend.sysctl(&format!("ipv4/conf/{interface}/arp_announce"), "2")?;
        }
        let [v4, v6] = Family::ALL.map(Family::vip);
        backend.ip_batch(&format!(
            "address add {v4}/32 dev lo\naddress add {v6}/128 dev lo nodad\n"
        ))
    }

    fn backends_have_the_vips(self) -> bool {
        match self {
            Self::FullNat | Self::Nat => false,
            Self::Dsr => true,
        }
    }
}
