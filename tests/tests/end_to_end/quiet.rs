//! Sessions that say nothing for minutes, while others begin more connections than there is room for.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{
    DaemonConfig, Lab, Mode, Service,
    backend::MariaDb,
    load::{Flood, Session},
};

use crate::{connection::Connection, matrix::two_armed, servers::MARIADB, story::beside_others};

/// SYNs, none of which is followed by anything.
const SYNS: u32 = 2_000_000;

/// For how long nobody says anything.
const QUIET: Duration = Duration::from_mins(3);

/// Sessions with a database, and connections to a web server.
const SESSIONS: usize = 6;
const CONNECTIONS: usize = 200;

#[test]
fn quiet_sessions_live_through_two_million_handshakes_that_are_never_finished() {
    beside_others(two_armed(), |lab| {
        let hosts = lab.backends().iter();
        let _servers = hosts
            .map(|host| MariaDb::open_to_all(lab, host, MARIADB))
            .collect::<Result<Vec<_>>>()?;
        let [web, database] = services();
        let config = DaemonConfig {
            services: vec![web.clone(), database.clone()],
            ..lab.config()
        };
        lab.start_daemon_on(&config.to_toml())?;
        let mut sessions = sessions(lab, database.address())?;
        let mut connections = Connection::open_to_web(lab, CONNECTIONS)?;
        let began = Instant::now();
        flood(&[&web, &database]).run(lab.client())?;
        println!("quiet for {:?}, meanwhile {SYNS} SYNs", began.elapsed());
        for (session, is) in &mut sessions {
            ensure!(*is == session.ask(IDENTITY)?, "not the session that it was: {is}");
        }
        connections.iter_mut().try_for_each(Connection::work)?;
        println!("{SESSIONS} sessions and {CONNECTIONS} connections: 0 lost");
        the_flood_was_one(lab)
    });
}

/// Who answers in a session, and the session's number there.
const IDENTITY: &str = "SELECT CONCAT(@@report_host, ' ', CONNECTION_ID())";

/// A web service and one of a database.
fn services() -> [Service; 2] {
    let [web, ..] = Service::usual(Mode::FullNat);
    let [port, backend_port] = MARIADB;
    let database = Service {
        name: "database".to_owned(),
        port,
        backend_port,
        ..web.clone()
    };
    [web, database]
}

/// Opens sessions; each with what it must still be after a while.
fn sessions(lab: &Lab, target: SocketAddr) -> Result<Vec<(Session, String)>> {
    let open = |_| {
        let mut session = Session::open(lab.client(), target)?;
        let identity = session.ask(IDENTITY)?;
        Ok((session, identity))
    };
    (0..SESSIONS).map(open).collect()
}

/// SYNs to both services in turn.
fn flood(services: &[&Service]) -> Flood {
    let targets = services.iter().map(|service| match service.address() {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address} is no IPv4 address"),
    });
    Flood {
        targets: targets.collect(),
        count: SYNS,
        duration: QUIET,
    }
}

/// It came through: to more entries than the table has, or, once many handshakes were unfinished, to SYN cookies.
fn the_flood_was_one(lab: &Lab) -> Result<()> {
    let stats = lab.daemon()?.stats()?;
    let opened: u64 = stats
        .services
        .iter()
        .map(|service| service.counters.flows_total)
        .sum();
    let refused: Vec<_> = stats
        .packets
        .reasons
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    println!("{opened} flows opened; not forwarded: {refused:?}");
    let answered = stats
        .packets
        .reasons
        .get("syn_cookie")
        .copied()
        .unwrap_or_default();
    ensure!(
        opened + answered > u64::from(SYNS) / 2,
        "the flood did not come through"
    );
    Ok(())
}
