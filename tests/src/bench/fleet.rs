//! Configurations of any size.

use std::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::Result;

/// So many services with so many backends each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Services.
    pub services: u32,
    /// Backends of each.
    pub backends: u32,
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} services × {} backends", self.services, self.backends)
    }
}

impl Fleet {
    /// The network of the backends, each of which has an address of its own.
    pub const NETWORK: &str = "10.64.0.0/10";
    /// The port of all of them.
    pub const PORT: u16 = 8081;

    /// All backends of all services.
    #[must_use]
    pub fn total(self) -> u32 {
        self.services * self.backends
    }

    /// The configuration's text after `global`, which is the content of its `[global]` table; backends are checked
    /// as `check` says.
    pub fn to_toml(self, global: &str, check: &str) -> Result<String> {
        let mut text = format!("[global]\n{global}\n");
        for service in 0..self.services {
            let bind = SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + service).into(), 80);
            writeln!(
                text,
                "[[service]]\nname = \"s{service}\"\nbind = [\"{bind}\"]\ncheck = {check}"
            )?;
            for number in 0..self.backends {
                let address = Ipv4Addr::from_bits(0x0a40_0000 + service * self.backends + number);
                let address = SocketAddr::new(address.into(), Self::PORT);
                writeln!(
                    text,
                    "[[service.backend]]\nname = \"b{number}\"\naddress = \"{address}\""
                )?;
            }
        }
        Ok(text)
    }
}
