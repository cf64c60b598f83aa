//! nginx as a backend.

use std::{fs, net::SocketAddr};

use anyhow::Result;

use super::{Blob, NAME_HEADER, Process};
use crate::{Family, Lab, program::Program};

/// The file that is served.
const FILE: &str = "blob";

/// An nginx on a backend's host; killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    _program: Program,
}

impl Nginx {
    /// Starts it on these ports of all the host's addresses, and waits until it listens. `GET /blob` answers `blob`, whatever
    /// size and seed are asked for.
    pub fn start(lab: &Lab, host: &Process, ports: &[u16], blob: Blob) -> Result<Self> {
        let (name, directory) = (
            host.name(),
            lab.directory().path().join(format!("{}-nginx", host.name())),
        );
        fs::create_dir(&directory)?;
        fs::write(directory.join(FILE), blob.bytes())?;
        let listen = ports
            .iter()
            .map(|port| format!("listen {port}; listen [::]:{port};"));
        let config = format!(
            r"daemon off; worker_processes 1; pid {directory}/pid; error_log stderr error;
events {{}}
http {{
  access_log off; sendfile on;
  server {{
    {listen}
    root {directory}; add_header {NAME_HEADER} {name};
  }}
}}
",
            directory = directory.display(),
            listen = listen.collect::<String>(),
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, config)?;
        let mut nginx = host.namespace().command("nginx");
        nginx.arg("-c").arg(file);
        let mut program = Program::start(nginx, &directory)?;
        for port in ports {
            program.wait_for(host.namespace(), SocketAddr::new(Family::V4.localhost(), *port))?;
        }
        Ok(Self { _program: program })
    }
}
