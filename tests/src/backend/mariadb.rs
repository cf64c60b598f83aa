//! `MariaDB` as a backend.

use std::{fs, net::SocketAddr};

use anyhow::Result;

use super::Process;
use crate::{Family, Lab, program::Program};

/// A `MariaDB` server on a backend's host, which lets everybody in; killed when dropped.
#[derive(Debug)]
pub struct MariaDb {
    _program: Program,
}

impl MariaDb {
    /// The database that it has.
    pub const DATABASE: &str = "lab";

    /// The statement that tells which server answers, by the name of its host.
    pub const WHO: &str = "SELECT @@report_host";

    /// Starts it on these two ports of all the host's addresses, and waits until it listens.
    pub fn start(lab: &Lab, host: &Process, [port, extra_port]: [u16; 2]) -> Result<Self> {
        let directory = lab.directory().path().join(format!("{}-mariadb", host.name()));
        // To the server a directory is a database.
        fs::create_dir_all(directory.join(Self::DATABASE))?;
        let mut server = host.namespace().command("mariadbd");
        // Without tables of users or InnoDB's files, it is there in a moment.
        server
            .args([
                "--no-defaults",
                "--user=root",
                "--skip-grant-tables",
                "--skip-name-resolve",
            ])
            .args([
                "--skip-innodb",
                "--default-storage-engine=Aria",
                "--bind-address=*",
            ])
            .arg(format!("--port={port}"))
            .arg(format!("--extra-port={extra_port}"))
            .arg("--extra-max-connections=100")
            .arg(format!("--report-host={}", host.name()))
            .arg(format!("--datadir={}", directory.display()))
            .arg(format!("--socket={}", directory.join("socket").display()))
            .arg(format!("--pid-file={}", directory.join("pid").display()));
        let mut program = Program::start(server, &directory)?;
        program.wait_for(host.namespace(), SocketAddr::new(Family::V4.localhost(), port))?;
        Ok(Self { _program: program })
    }
}
