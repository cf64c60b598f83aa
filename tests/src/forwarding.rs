//! Forwarding modes of the lab's services, and what each asks of a backend.

use std::{collections::BTreeSet, fmt};

use anyhow::Result;

use crate::{
    Family, Namespace,
    topology::HOST_INTERFACE,
    tunnel_end::{GUE_PORT, TunnelEnd},
};

/// Where clients are in a one-armed lab.
const CLIENTS: [&str; 2] = ["10.1.0.2/32", "fd00:1::2/128"];

/// Segments that fit an MTU of 1,500 bytes in any tunnel, and some bytes more.
const MSS: u16 = 1360;

/// How packets reach the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Source and destination are translated.
    FullNat,
    /// The destination is translated; the lab's backends route by the balancer anyway.
    Nat,
    /// The MAC addresses change.
    Dsr,
    /// Packets travel within others.
    Tunnel {
        /// Family of the backends, whatever that of the service.
        outer: Family,
        /// Whether there is a UDP header too.
        gue: bool,
    },
}

impl Mode {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullNat => "full-nat",
            Self::Nat => "nat",
            Self::Dsr => "dsr",
            Self::Tunnel { .. } => "tunnel",
        }
    }

    /// The configuration's lines about it.
    pub(crate) fn to_toml(self) -> String {
        let mode = format!("mode = \"{}\"\n", self.as_str());
        match self {
            Self::Tunnel { gue: true, .. } => {
                format!("{mode}encapsulation = \"gue\"\ngue_port = {GUE_PORT}\n")
            }
            Self::FullNat | Self::Nat | Self::Dsr | Self::Tunnel { gue: false, .. } => mode,
        }
    }

    /// The family of the backends of a service of a family.
    pub(crate) fn backend_family(self, service: Family) -> Family {
        match self {
            Self::FullNat | Self::Nat | Self::Dsr => service,
            Self::Tunnel { outer, .. } => outer,
        }
    }

    /// Whether backends have the services' addresses themselves.
    pub(crate) fn backends_have_the_vips(self) -> bool {
        match self {
            Self::FullNat | Self::Nat => false,
            Self::Dsr | Self::Tunnel { .. } => true,
        }
    }
}

/// The configuration's word, and of a tunnel what it is made of.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FullNat | Self::Nat | Self::Dsr => f.write_str(self.as_str()),
            Self::Tunnel { outer, gue } => {
                let encapsulation = if *gue { "gue" } else { "ipip" };
                write!(f, "{}.{encapsulation}.{outer:?}", self.as_str())
            }
        }
    }
}

/// Sets a backend's host up for services in these modes, as README tells users to.
pub(crate) fn prepare(modes: &BTreeSet<Mode>, backend: &Namespace) -> Result<Option<TunnelEnd>> {
    if !modes.iter().any(|mode| mode.backends_have_the_vips()) {
        return Ok(None);
    }
    // It has the virtual addresses, and tells nobody.
    for interface in ["all", HOST_INTERFACE] {
        backend.sysctl(&format!("ipv4/conf/{interface}/arp_ignore"), "1")?;
        backend.sysctl(&format!("ipv4/conf/{interface}/arp_announce"), "2")?;
    }
    let [v4, v6] = Family::ALL.map(Family::vip);
    backend.ip_batch(&format!(
        "address add {v4}/32 dev lo\naddress add {v6}/128 dev lo nodad\n"
    ))?;
    if !modes.iter().any(|mode| matches!(mode, Mode::Tunnel { .. })) {
        return Ok(None);
    }
    // What clients send is to fit the tunnel: the backend's SYN-ACK asks for it.
    let [v4, v6] = CLIENTS;
    backend.ip_batch(&format!(
        "route replace {v4} dev {HOST_INTERFACE} advmss {MSS}\n\
         route replace {v6} dev {HOST_INTERFACE} advmss {MSS}\n"
    ))?;
    TunnelEnd::open(backend).map(Some)
}
