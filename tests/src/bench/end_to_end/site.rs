//! The lab that all targets share.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    direct::{BY_CABLE, BY_ROUTER, Direct},
    target::Target,
};
use crate::{BACKEND_PORT, Builder, Family, Lab, Namespace, Role, Wiring, command, program::Program};

/// First TCP port at the backend.
const BACKEND_PORTS: u16 = 9001;
/// First port at the virtual address.
const SERVICE_PORTS: u16 = 8001;

/// The file that is downloaded in bulk.
pub(super) const LARGE_FILE: &str = "large";
const LARGE_FILE_SIZE: u64 = 32 << 20;

/// Client, balancer and one backend with an nginx on many ports.
pub(super) struct Site {
    // In the order in which they have to go.
    _backend: Program,
    _direct: Direct,
    pub(super) lab: Lab,
}

impl Site {
    pub(super) fn new() -> Result<Self> {
        let lab = Builder::new()
            .wiring(Wiring::TwoArmed)
            .backends(1)
            .checksum_offload(false)
            .kernel_forwarding(true)
            .build()?;
        for interface in ["client", "be1"] {
            set_offloads(lab.balancer(), interface)?;
        }
        let direct = Direct::new(&lab)?;
        Ok(Self {
            _backend: start_backend(&lab)?,
            _direct: direct,
            lab,
        })
    }

    /// Where clients connect to.
    pub(super) fn address(target: Target) -> SocketAddr {
        match target {
            Target::OwnCable => SocketAddr::new(BY_CABLE.into(), Self::backend(target).port()),
            Target::Routed => SocketAddr::new(BY_ROUTER.into(), Self::backend(target).port()),
            _ => SocketAddr::new(Family::V4.vip(), SERVICE_PORTS + target.number()),
        }
    }

    /// Where the backend serves those that come by this target.
    pub(super) fn backend(target: Target) -> SocketAddr {
        SocketAddr::new(backend_address(), BACKEND_PORTS + target.number())
    }

    /// Where clients send datagrams.
    pub(super) fn echo(target: Target) -> SocketAddr {
        match target {
            Target::OwnCable => SocketAddr::new(BY_CABLE.into(), BACKEND_PORT),
            Target::Routed => SocketAddr::new(BY_ROUTER.into(), BACKEND_PORT),
            _ => Self::address(target),
        }
    }

    /// Where the backend sends them back.
    pub(super) fn echo_backend() -> SocketAddr {
        SocketAddr::new(backend_address(), BACKEND_PORT)
    }

    /// Writes a file for a program of the site.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        write(&self.lab, name, text)
    }
}

fn backend_address() -> IpAddr {
    Wiring::TwoArmed.address(Role::Backend(1), Family::V4)
}

fn write(lab: &Lab, name: &str, text: &str) -> Result<PathBuf> {
    let file = lab.directory().path().join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The same for all: no checksums left to a NIC that is none, and therefore no segmentation; frames are merged at
/// the receiver.
pub(super) fn set_offloads(namespace: &Namespace, interface: &str) -> Result<()> {
    let words = ["-K", interface, "gro", "on", "tx", "off"];
    command::output(namespace.command("ethtool").args(words)).map(drop)
}

fn start_backend(lab: &Lab) -> Result<Program> {
    let namespace = lab.backends()[0].namespace();
    let file = lab.directory().path().join(LARGE_FILE);
    fs::File::create(&file)?.set_len(LARGE_FILE_SIZE)?;
    let config = write(lab, "backend.conf", &backend_config(lab.directory().path()))?;
    let mut nginx = namespace.command("nginx");
    nginx.arg("-c").arg(config);
    let mut program = Program::start(nginx, lab.directory().path())?;
    program.wait_for(namespace, Site::backend(Target::Routed))?;
    Ok(program)
}

fn backend_config(directory: &Path) -> String {
    let listen = Target::ALL.map(|target| format!("listen {};", Site::backend(target).port()));
    format!(
        r#"daemon off; worker_processes auto; pid {directory}/backend.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 60s;
  server {{
    {listen} root {directory};
    location = / {{ return 200 "{answer}"; }}
  }}
}}
"#,
        directory = directory.display(),
        listen = listen.join(" "),
        answer = "x".repeat(128),
    )
}
