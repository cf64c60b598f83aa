//! The ways from client to backend.

use std::{fmt, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::site::Site;
use crate::{CheckTimes, Daemon, Dataplane, Mode, Namespace, command, program::Program};

/// A way from client to backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// No balancer, and nothing in its place.
    OwnCable,
    /// No balancer: the balancer's kernel routes.
    Routed,
    /// `HAProxy`, `mode tcp`.
    HaProxy,
    /// nginx, `stream`.
    NginxStream,
    /// Destination NAT by nftables, with connection tracking.
    Nftables,
    /// Ballast on an engine, with its services in a mode in which answers come back through it: here all cables lead there.
    Ballast(Dataplane, Mode),
}

/// What a target consists of while it is in use.
pub(super) enum Running<'s> {
    Nothing,
    Program(Program),
    Rules(&'s Namespace),
    Daemon(Daemon),
}

impl Target {
    pub(super) const ALL: [Self; 9] = [
        Self::OwnCable,
        Self::Routed,
        Self::HaProxy,
        Self::NginxStream,
        Self::Nftables,
        Self::Ballast(Dataplane::Xdp, Mode::FullNat),
        Self::Ballast(Dataplane::Xdp, Mode::Nat),
        Self::Ballast(Dataplane::XdpGeneric, Mode::FullNat),
        Self::Ballast(Dataplane::AfPacket, Mode::FullNat),
    ];

    /// Its place in [`Target::ALL`].
    pub(super) fn number(self) -> u16 {
        let targets = (0..).zip(Self::ALL);
        let mut number = targets.filter_map(|(number, target)| (target == self).then_some(number));
        number.next().unwrap_or_default()
    }

    /// `HAProxy` balances no datagrams.
    pub(super) fn forwards_udp(self) -> bool {
        self != Self::HaProxy
    }

    /// Starts what it consists of, and waits until it forwards.
    pub(super) fn start(self, site: &Site) -> Result<Running<'_>> {
        let balancer = site.lab.balancer();
        match self {
            Self::OwnCable | Self::Routed => Ok(Running::Nothing),
            Self::HaProxy => {
                let config = site.write("haproxy.cfg", &self.haproxy())?;
                let mut haproxy = balancer.command("haproxy");
                haproxy.arg("-db").arg("-f").arg(config);
                self.program(site, haproxy)
            }
            Self::NginxStream => {
                let config = site.write("stream.conf", &self.nginx(site))?;
                let mut nginx = balancer.command("nginx");
                nginx.arg("-c").arg(config);
                self.program(site, nginx)
            }
            Self::Nftables => {
                let mut nft = balancer.command("nft");
                command::output_with_input(nft.args(["-f", "-"]), &self.nft())?;
                Ok(Running::Rules(balancer))
            }
            Self::Ballast(dataplane, mode) => self.daemon(site, dataplane, mode),
        }
    }

    fn program(self, site: &Site, command: Command) -> Result<Running<'static>> {
        let mut program = Program::start(command, site.lab.directory().path())?;
        program.wait_for(site.lab.client(), Site::address(self))?;
        Ok(Running::Program(program))
    }

    fn daemon(self, site: &Site, dataplane: Dataplane, mode: Mode) -> Result<Running<'static>> {
        let directory = site.lab.directory().path();
        let config = site.write("bench.toml", &self.ballast(site, dataplane, mode))?;
        let log = directory.join("ballast.log");
        let daemon = Daemon::start(site.lab.ballast()?, &config, directory.join("ballast.sock"), &log)?;
        daemon.wait_for_state("web", "be1", "up", Duration::from_secs(20))?;
        daemon.wait_for_state("echo", "be1", "up", Duration::from_secs(20))?;
        Ok(Running::Daemon(daemon))
    }

    fn haproxy(self) -> String {
        let (bind, backend) = (Site::address(self), Site::backend(self));
        format!(
            "global\n  maxconn 4000\n  nbthread 2\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
             timeout server 60s\nlisten web\n  bind {bind}\n  server be1 {backend}\n"
        )
    }

    fn nginx(self, site: &Site) -> String {
        format!(
            r"load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes auto; pid {directory}/stream.pid; error_log stderr error;
events {{ worker_connections 8192; }}
stream {{
  server {{ listen {bind}; proxy_pass {backend}; }}
  server {{ listen {bind} udp; proxy_pass {echo}; proxy_timeout 10s; }}
}}
",
            directory = site.lab.directory().path().display(),
            bind = Site::address(self),
            backend = Site::backend(self),
            echo = Site::echo_backend(),
        )
    }

    fn nft(self) -> String {
        let bind = Site::address(self);
        let dnat = |protocol: &str, to| {
            format!(
                "ip daddr {} {protocol} dport {} dnat to {to}\n",
                bind.ip(),
                bind.port()
            )
        };
        format!(
            "table ip {NFT_TABLE} {{\nchain in {{\ntype nat hook prerouting priority dstnat; policy accept;\n{}{}}}\n}}\n",
            dnat("tcp", Site::backend(self)),
            dnat("udp", Site::echo_backend())
        )
    }

    fn ballast(self, site: &Site, dataplane: Dataplane, mode: Mode) -> String {
        let directory = site.lab.directory().path().display().to_string();
        let (bind, backend, echo) = (Site::address(self), Site::backend(self), Site::echo_backend());
        let mode = mode.as_str();
        let inter = CheckTimes::ONCE.inter.as_secs();
        format!(
            r#"[global]
interfaces = ["client", "be1"]
dataplane = "{dataplane}"
state_dir = "{directory}/state"
socket = "{directory}/ballast.sock"
[[service]]
name = "web"
bind = ["{bind}"]
mode = "{mode}"
check = {{ type = "tcp", inter = "{inter}s", rise = 1 }}
backend = [{{ name = "be1", address = "{backend}" }}]
[[service]]
name = "echo"
bind = ["{bind}"]
protocol = "udp"
mode = "{mode}"
check = {{ type = "none" }}
backend = [{{ name = "be1", address = "{echo}" }}]
"#
        )
    }
}

const NFT_TABLE: &str = "bench";

impl Running<'_> {
    /// Takes it away again.
    pub(super) fn stop(self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Program(program) => {
                drop(program);
                Ok(())
            }
            Self::Rules(namespace) => {
                let mut nft = namespace.command("nft");
                command::output(nft.args(["delete", "table", "ip", NFT_TABLE]))
                    .map(drop)
                    .context("the rules cannot be removed")
            }
            Self::Daemon(daemon) => daemon.stop(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::OwnCable => "direct, a cable of its own",
            Self::Routed => "direct, routed",
            Self::HaProxy => "HAProxy, tcp",
            Self::NginxStream => "nginx, stream",
            Self::Nftables => "nftables, DNAT",
            Self::Ballast(dataplane, Mode::FullNat) => return f.pad(&format!("Ballast, {dataplane}")),
            Self::Ballast(dataplane, mode) => return f.pad(&format!("Ballast, {dataplane}, {mode}")),
        };
        f.pad(words)
    }
}
