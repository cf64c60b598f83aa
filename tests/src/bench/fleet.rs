//! Configurations of any size.

use std::fmt::Write as _;

use anyhow::Result;

/// So many services with so many backends each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Services.
    pub services: u32,
    /// Backends of each.
    pub backends: u32,
}

/// Backends of one address, each at a port of its own.
const PORTS: u32 = 50_000;
const FIRST_PORT: u32 = 10_000;

impl Fleet {
    /// All backends of all services.
    #[must_use]
    pub fn total(self) -> u32 {
        self.services * self.backends
    }

    /// The configuration's text after `global`, which is its `[global]` table. The backends are at `host`, and are
    /// checked as `check` says.
    pub fn to_toml(self, global: &str, host: &str, check: &str) -> Result<String> {
        let mut text = format!("[global]\n{global}\n");
        for service in 0..self.services {
            let (high, low) = (service / 256, service % 256);
            writeln!(
                text,
                "[[service]]\nname = \"s{service}\"\nbind = [\"10.0.{high}.{low}:80\"]\ncheck = {check}"
            )?;
            for backend in 0..self.backends {
                let port = FIRST_PORT + (service * self.backends + backend) % PORTS;
                writeln!(
                    text,
                    "[[service.backend]]\nname = \"b{backend}\"\naddress = \"{host}:{port}\""
                )?;
            }
        }
        Ok(text)
    }
}
