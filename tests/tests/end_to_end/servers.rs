//! Servers that users have: files of nginx and rows of `MariaDB`, compared with what they must be.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use lab::{
    Builder, DaemonConfig, Family, Lab, Mode, Service,
    backend::{Blob, MariaDb, Nginx},
    load::{Direction, Transfer, query},
};
use lb_user::config::types::{Protocol, Scheduler};
use sha2::{Digest as _, Sha256};

use crate::{
    matrix::{ANSWERED_THROUGH, one_armed, tunnel, two_armed},
    story::in_lab,
};

/// Ports of each server. A service on one of them leads to the other, where ports are translated.
const NGINX: [u16; 2] = [8001, 8002];
pub(crate) const MARIADB: [u16; 2] = [3306, 3307];

/// Bytes and rows of each answer.
const SIZE: u64 = 10_000_000;
const ROWS: u32 = 50_000;

#[test]
fn nginx_and_mariadb_serve_through_the_balancer() {
    serve(ANSWERED_THROUGH, two_armed());
}

#[test]
fn nginx_and_mariadb_answer_their_clients_directly() {
    let tunnel = tunnel(Family::V4, false);
    serve([Mode::Dsr, tunnel], one_armed().mode(tunnel));
}

fn serve(modes: [Mode; 2], builder: Builder) {
    in_lab(builder, |lab| {
        let hosts = lab.backends().iter();
        let start = |host| {
            Ok((
                Nginx::start(lab, host, &NGINX, Blob::new(SIZE, 1))?,
                MariaDb::open_to_all(lab, host, MARIADB)?,
            ))
        };
        let _servers = hosts.map(start).collect::<Result<Vec<_>>>()?;
        let files = services(modes, "nginx", NGINX);
        let databases = services(modes, "mariadb", MARIADB);
        let services = [files.clone(), databases.clone()].concat();
        let config = DaemonConfig {
            services,
            ..lab.config()
        };
        lab.start_daemon_on(&config.to_toml())?;
        for service in files {
            download(lab, &service).context(service.name)?;
        }
        for service in databases {
            select(lab, &service).context(service.name)?;
        }
        Ok(())
    });
}

/// A service of a server for each mode and family.
fn services(modes: [Mode; 2], server: &str, ports: [u16; 2]) -> Vec<Service> {
    let [first, second] = ports;
    let numbered = modes.into_iter().zip([(first, second), (second, first)]);
    let services = numbered.flat_map(|(mode, (port, backend_port))| {
        Family::ALL.map(|family| Service {
            name: format!("{server}.{mode}.{family:?}"),
            protocol: Protocol::Tcp,
            family,
            port,
            backend_port,
            mode,
            scheduler: Scheduler::RoundRobin,
        })
    });
    services.collect()
}

/// Downloads from each of the three servers.
fn download(lab: &Lab, service: &Service) -> Result<()> {
    for _ in lab.backends() {
        let transfer = Transfer {
            target: service.address(),
            direction: Direction::Download,
            size: SIZE,
            seed: 1,
        };
        transfer.arrives(lab.client())?;
    }
    Ok(())
}

/// Has each of the three servers fill a table, and reads it.
fn select(lab: &Lab, service: &Service) -> Result<()> {
    let statements = format!(
        "CREATE TEMPORARY TABLE bulk AS SELECT seq, SHA2(seq, 256) AS digest FROM seq_1_to_{ROWS}; \
         SELECT seq, digest FROM bulk ORDER BY seq"
    );
    let mut expected = String::new();
    for seq in 1..=ROWS {
        writeln!(expected, "{seq}\t{:x}", Sha256::digest(seq.to_string()))?;
    }
    for _ in lab.backends() {
        let rows = query(lab.client(), service.address(), &statements)?;
        ensure!(
            rows.len() == expected.len() && Sha256::digest(&rows) == Sha256::digest(&expected),
            "other rows: {} bytes",
            rows.len()
        );
    }
    let who = (0..3).map(|_| query(lab.client(), service.address(), MariaDb::WHO));
    let mut who = who.collect::<Result<Vec<_>>>()?;
    who.sort();
    ensure!(who == ["be1\n", "be2\n", "be3\n"], "answered by {who:?}");
    Ok(())
}
