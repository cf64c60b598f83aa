//! The configuration file that the lab writes for the daemon.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{BACKEND_PORT, ECHO_PORT, Family, Mode, Role, WEB_PORT, Wiring};

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

/// What the file says.
///
/// Four services over the same backends: `web` and `web6` (TCP), `echo` and `echo6` (UDP), all checked by HTTP.
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
    /// Forwarding mode of all services.
    pub mode: Mode,
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
        let mut text = self.global();
        for (name, protocol, family, port) in [
            ("web", "tcp", Family::V4, WEB_PORT),
            ("web6", "tcp", Family::V6, WEB_PORT),
            ("echo", "udp", Family::V4, ECHO_PORT),
            ("echo6", "udp", Family::V6, ECHO_PORT),
        ] {
            text += &self.service(name, protocol, family, port);
        }
        text
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

    fn service(&self, name: &str, protocol: &str, family: Family, port: u16) -> String {
        let CheckTimes {
            inter,
            timeout,
            rise,
            fall,
        } = self.check;
        let bind = SocketAddr::new(family.vip(), port);
        let service = format!(
            r#"
[[service]]
name = "{name}"
bind = ["{bind}"]
protocol = "{protocol}"
{mode}scheduler = "maglev"
[service.check]
type = "http"
inter = "{inter}ms"
timeout = "{timeout}ms"
rise = {rise}
fall = {fall}
port = {BACKEND_PORT}
"#,
            inter = inter.as_millis(),
            timeout = timeout.as_millis(),
            mode = self.mode.to_toml(),
        );
        let backends = (1..=self.backends).map(|number| self.backend(Role::Backend(number), family, port));
        service + &backends.collect::<Vec<_>>().concat()
    }

    fn backend(&self, role: Role, family: Family, port: u16) -> String {
        let port = self.mode.backend_port(port);
        let family = self.mode.backend_family(family);
        let address = SocketAddr::new(self.wiring.address(role, family), port);
        format!("[[service.backend]]\nname = \"{role}\"\naddress = \"{address}\"\n")
    }
}

/// The lab's paths are its own and plain ASCII, so that Rust's quoting is TOML's too.
fn path_text(path: &Path) -> String {
    path.display().to_string()
}
