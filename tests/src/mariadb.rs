//! `MariaDB` servers from Debian's packages, with their data in the lab's directory.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{Namespace, command, wait_for};

/// Neither the host's configuration, nor more memory and disk than a few rows need.
const FRUGAL: [&str; 4] = [
    "--no-defaults",
    "--user=root",
    "--innodb-buffer-pool-size=8M",
    "--innodb-log-file-size=4M",
];
const START_LIMIT: Duration = Duration::from_mins(1);

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Mariadb {
    child: Child,
    /// Where `root` asks without a password, from any namespace.
    socket: PathBuf,
    address: SocketAddr,
}

impl Mariadb {
    /// Makes an empty server in `directory`, and starts it in the namespace on this address, with further options. Hosts'
    /// names are those of `hosts`, lines of `/etc/hosts`, and no others.
    pub fn start(
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
        let socket = directory.join("sql.sock");
        let (names, order) = (directory.join("hosts"), directory.join("nsswitch.conf"));
        fs::write(&names, hosts)?;
        fs::write(&order, "hosts: files\n")?;
        let log = File::create(directory.join("log"))?;
        // In a mount namespace of its own, so that the files that it asks for names are the test's.
        let script = "mount --make-rprivate / && mount --bind \"$0\" /etc/hosts && \
                      mount --bind \"$1\" /etc/nsswitch.conf && shift && exec mariadbd \"$@\"";
        let child = namespace
            .command("unshare")
            .args(["--mount", "sh", "-c", script])
            .args([&names, &order])
            .args(FRUGAL)
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", directory.join("pid").display()))
            .arg(format!("--bind-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start mariadbd: is mariadb-server-core installed?")?;
        let server = Self {
            child,
            socket,
            address,
        };
        let ready = wait_for("MariaDB to answer", START_LIMIT, || {
            Ok(server.sql("SELECT 1").ok())
        });
        ready.with_context(|| fs::read_to_string(directory.join("log")).unwrap_or_default())?;
        Ok(server)
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
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        // Fails only when it has ended before, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
