//! `MariaDB` servers from Debian's packages, with their data in the lab's directory.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::Process;
use crate::{Family, Lab, Namespace, command, program::Program};

/// Neither the host's configuration, nor more memory and disk than a few rows need.
const FRUGAL: [&str; 4] = [
    "--no-defaults",
    "--user=root",
    "--innodb-buffer-pool-size=8M",
    "--innodb-log-file-size=4M",
];

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct MariaDb {
    program: Program,
    /// Where `root` asks without a password, from any namespace.
    socket: PathBuf,
    address: SocketAddr,
}

impl MariaDb {
    /// The database that [`MariaDb::open_to_all`] has.
    pub const DATABASE: &str = "lab";

    /// The statement that tells which server answers, by the name of its host.
    pub const WHO: &str = "SELECT @@report_host";

    /// Starts a server on a backend's host that lets everybody in, on these two ports of all the host's addresses.
    pub fn open_to_all(lab: &Lab, host: &Process, [port, extra_port]: [u16; 2]) -> Result<Self> {
        let directory = lab.directory().path().join(format!("{}-mariadb", host.name()));
        // To the server a directory is a database.
        fs::create_dir_all(directory.join(Self::DATABASE))?;
        let mut server = host.namespace().command("mariadbd");
        // Without tables of users or InnoDB's files, it is there in a moment.
        server
            .args(["--no-defaults", "--user=root", "--skip-grant-tables"])
            .args(["--skip-name-resolve", "--skip-innodb"])
            .args(["--default-storage-engine=Aria", "--bind-address=*"])
            .arg(format!("--extra-port={extra_port}"))
            .arg("--extra-max-connections=100")
            .arg(format!("--report-host={}", host.name()))
            .arg(format!("--datadir={}", directory.display()));
        let address = SocketAddr::new(Family::V4.localhost(), port);
        Self::start(server, host.namespace(), &directory, address)
    }

    /// Makes an empty server with users in `directory`, and starts it in the namespace on this address, with further
    /// options. Hosts' names are those of `hosts`, lines of `/etc/hosts`, and no others.
    pub fn with_users(
        namespace: &Namespace,
        directory: &Path,
        address: SocketAddr,
        options: &[&str],
        hosts: &str,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let data = directory.join("data");
        command::output(
            Command::new("mariadb-install-db")
                .args(FRUGAL)
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
                .arg(format!("--datadir={}", data.display())),
        )?;
        let (names, order) = (directory.join("hosts"), directory.join("nsswitch.conf"));
        fs::write(&names, hosts)?;
        fs::write(&order, "hosts: files\n")?;
        // In a mount namespace of its own, so that the files that it asks for names are the test's.
        let script = "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && \
                      mount --bind \"$1\" /etc/nsswitch.conf && shift && exec mariadbd \"$@\"";
        let mut server = namespace.command("unshare");
        server
            .args(["--mount", "sh", "-c", script])
            .args([&names, &order])
            .args(FRUGAL)
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--bind-address={}", address.ip()))
            .args(options);
        Self::start(server, namespace, directory, address)
    }

    /// Starts a server that is told all but where it is asked, and waits until it listens on this address.
    fn start(
        mut server: Command,
        namespace: &Namespace,
        directory: &Path,
        address: SocketAddr,
    ) -> Result<Self> {
        let socket = directory.join("sql.sock");
        server
            .arg(format!("--port={}", address.port()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", directory.join("pid").display()));
        let mut program = Program::start(server, directory)?;
        program.wait_for(namespace, address)?;
        Ok(Self {
            program,
            socket,
            address,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has `root` run statements; what they print, without headings, columns parted by tabs.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]);
        client.arg(format!("--socket={}", self.socket.display()));
        command::output(client.args(["--execute", statements])).map(|text| text.trim().to_owned())
    }

    /// A status variable that is a number.
    pub fn status(&self, name: &str) -> Result<u64> {
        let line = self.sql(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))?;
        let value = line
            .split('\t')
            .nth(1)
            .with_context(|| format!("no status variable {name}"))?;
        Ok(value.parse()?)
    }

    /// Ends it without a chance to say goodbye (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.program.kill()
    }
}
