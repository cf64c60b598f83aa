//! The configuration file that the lab writes for the daemon.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_user::config::types::Protocol;

use crate::{BACKEND_PORT, Role, Service, Wiring};

/// The config word for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dataplane {
    /// The best that works.
    Auto,
    /// Native XDP.
    Xdp,
    /// Generic XDP.
    XdpGeneric,
    /// `AF_PACKET` in userspace.
    AfPacket,
}

impl fmt::Display for Dataplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::AfPacket => "af-packet",
        })
    }
}

/// Times of the health check.
#[derive(Debug, Clone, Copy)]
pub struct CheckTimes {
    /// Between two checks.
    pub inter: Duration,
    /// Of one check.
    pub timeout: Duration,
    /// Successes until up.
    pub rise: u32,
    /// Failures until down.
    pub fall: u32,
}

impl CheckTimes {
    /// Quick enough for a test to see a backend go and come.
    pub const BRISK: Self = Self {
        inter: Duration::from_millis(300),
        timeout: Duration::from_millis(300),
        rise: 2,
        fall: 3,
    };

    /// One check at the start and then silence, for tests that count every packet.
    pub const ONCE: Self = Self {
        inter: Duration::from_hours(1),
        timeout: Duration::from_secs(5),
        rise: 1,
        fall: 1,
    };

    /// The longest that a backend may go on getting new connections after it died.
    #[must_use]
    pub fn until_down(&self) -> Duration {
        self.inter * self.fall + self.timeout
    }

    /// The longest that a backend may wait for new connections after it came back.
    #[must_use]
    pub fn until_up(&self) -> Duration {
        self.inter * self.rise + self.timeout
    }
}

/// More than any story has in a minute, and few enough to be looked at each second for those that are over.
const MAX_FLOWS: u32 = 32_768;

/// Until a flow over UDP is forgotten: longer than any answer takes in a lab.
const UDP_LIFE: &str = "idle_timeout = \"2s\"\n";

/// What the file says.
///
/// Services over the same backends, which are all checked by HTTP. Flows over UDP are forgotten soon, since that is the
/// only way in which they end.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// How the lab is cabled, which decides addresses.
    pub wiring: Wiring,
    /// How many backends there are.
    pub backends: u8,
    /// Interfaces to attach to.
    pub interfaces: Vec<String>,
    /// Engine.
    pub dataplane: Dataplane,
    /// Health check of all services.
    pub check: CheckTimes,
    /// Services.
    pub services: Vec<Service>,
    /// Where the control socket and the state go.
    pub directory: PathBuf,
}

impl DaemonConfig {
    /// Where the stats page listens, inside the balancer's namespace.
    pub const STATS_ADDRESS: &str = "127.0.0.1:1080";

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("ballast.sock")
    }

    /// The file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let services = self.services.iter().map(|service| self.service(service));
        self.global() + &services.collect::<String>()
    }

    fn global(&self) -> String {
        let Self {
            interfaces,
            dataplane,
            directory,
            ..
        } = self;
        format!(
            r#"[global]
interfaces = {interfaces:?}
dataplane = "{dataplane}"
max_flows = {MAX_FLOWS}
state_dir = {state:?}
socket = {socket:?}

[stats]
bind = "{stats}"
uri = "/stats"
"#,
            state = path_text(&directory.join("state")),
            socket = path_text(&self.socket()),
            stats = Self::STATS_ADDRESS,
        )
    }

    fn service(&self, service: &Service) -> String {
        let Service {
            name,
            protocol,
            mode,
            scheduler,
            ..
        } = service;
        let CheckTimes {
            inter,
            timeout,
            rise,
            fall,
        } = self.check;
        let life = match protocol {
            Protocol::Tcp => "",
            Protocol::Udp => UDP_LIFE,
        };
        let text = format!(
            r#"
[[service]]
name = "{name}"
bind = ["{bind}"]
protocol = "{protocol}"
{mode}{life}scheduler = "{scheduler}"
[service.check]
type = "http"
inter = "{inter}ms"
timeout = "{timeout}ms"
rise = {rise}
fall = {fall}
port = {BACKEND_PORT}
max_flaps = 0
"#,
            bind = service.address(),
            protocol = protocol.as_str(),
            scheduler = scheduler.as_str(),
            inter = inter.as_millis(),
            timeout = timeout.as_millis(),
            mode = mode.to_toml(),
        );
        let backends = (1..=self.backends).map(|number| self.backend(Role::Backend(number), service));
        text + &backends.collect::<String>()
    }

    fn backend(&self, role: Role, service: &Service) -> String {
        let address = service.backend(self.wiring, role);
        format!("[[service.backend]]\nname = \"{role}\"\naddress = \"{address}\"\n")
    }
}

/// The lab's paths are its own and plain ASCII, so that Rust's quoting is TOML's too.
fn path_text(path: &Path) -> String {
    path.display().to_string()
}
