//! `ballast health`

use anyhow::{Result, bail, ensure};
use clap::Args;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use super::{
    client::{AskError, Client},
    output,
};
use crate::{
    daemon::Status,
    dataplane::Pins,
    stats::{ServiceState, Statistics},
};

/// Exit 0 only if packets would be forwarded, for keepalived's `vrrp_script`
///
/// That is: the packet path is attached to interfaces that are up, and of the services that are asked for (all, unless
/// --service names some) not every one is down. A packet path that outlives its daemon counts; what it forwards by is what
/// the daemon last knew.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast health --service fe
  vrrp_script ballast { script \"/usr/bin/ballast health --quiet\" interval 1 fall 2 rise 2 }   # keepalived.conf")]
pub(super) struct Health {
    #[command(flatten)]
    client: Client,
    /// Only this service counts; may be repeated, and then each must be able to serve
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,
    /// Print nothing where all is well
    #[arg(long)]
    quiet: bool,
}

impl Health {
    pub(super) fn run(self) -> Result<()> {
        let line = match self.client.question("status") {
            Ok(status) => self.with_daemon(&status)?,
            Err(AskError::NobodyThere { .. }) => self.without_daemon()?,
            Err(AskError::Other(error)) => return Err(error),
        };
        if self.quiet { Ok(()) } else { output::print(&line) }
    }

    fn with_daemon(&self, status: &Status) -> Result<String> {
        for interface in &status.interfaces {
            ensure_up(&interface.name)?;
            ensure!(
                interface.attached,
                "the packet path is not attached to {} any more; start the daemon again",
                interface.name
            );
        }
        let interfaces: Vec<&str> = status
            .interfaces
            .iter()
            .map(|interface| interface.name.as_str())
            .collect();
        let statistics: Statistics = self.client.ask("stats")?;
        self.ensure_serving(&statistics)?;
        Ok(format!(
            "{} forwards on {}\n",
            status.dataplane,
            interfaces.join(", ")
        ))
    }

    fn ensure_serving(&self, statistics: &Statistics) -> Result<()> {
        let serves = |state| state != ServiceState::Down;
        for wanted in &self.services {
            let found = statistics.services.iter().find(|service| service.name == *wanted);
            match found {
                None => bail!("there is no service `{wanted}`; `ballast stats` lists those there are"),
                Some(service) => ensure!(
                    serves(service.state),
                    "service {wanted} is down: no backend takes its flows"
                ),
            }
        }
        let any = statistics.services.iter().any(|service| serves(service.state));
        ensure!(
            any || !self.services.is_empty(),
            "every service is down: no backend takes flows"
        );
        Ok(())
    }

    fn without_daemon(&self) -> Result<String> {
        let socket = self.client.socket().display();
        let left = Pins::find(self.client.socket())?.filter(Pins::are_in_force);
        ensure!(
            left.is_some(),
            "nothing is forwarded: nobody listens on {socket}, and no daemon has left anything forwarding"
        );
        Ok(format!(
            "no daemon listens on {socket}, but what the last one left forwards\n"
        ))
    }
}

fn ensure_up(interface: &str) -> Result<()> {
    let mut flags = getifaddrs()?.filter(|entry| entry.interface_name == interface);
    let flags = flags.next().map(|entry| entry.flags);
    let running = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    match flags {
        Some(flags) if flags.contains(running) => Ok(()),
        Some(_) => bail!("interface {interface} is down"),
        None => bail!("interface {interface} is gone"),
    }
}
