//! Checks of real `MariaDB` servers.

use std::{
    io::Read as _,
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;
use lab::{Family, Lab, Role, Wiring, backend::MariaDb, wait_for};
use lb_user::health::Outcome;

use super::{LIMIT, Monitored};
use crate::story::{in_lab, usual};

const PASSWORD: &str = "geheim";
/// What a check's user needs: nothing, to log in; and to see how replication is.
pub(super) const USERS: &str = "CREATE USER lb@'%' IDENTIFIED BY 'geheim'; \
    GRANT SLAVE MONITOR ON *.* TO lb@'%'; \
    CREATE USER app@'%' IDENTIFIED BY 'geheim'; GRANT ALL ON *.* TO app@'%'; \
    CREATE USER repl@'%' IDENTIFIED BY 'geheim'; GRANT REPLICATION SLAVE ON *.* TO repl@'%';";

/// A server in a backend's namespace.
pub(super) fn server(lab: &Lab, number: u8, options: &[&str]) -> Result<MariaDb> {
    let role = Role::Backend(number);
    let ip = Wiring::TwoArmed.address(role, Family::V4);
    let balancer = Wiring::TwoArmed.balancer_address(role, Family::V4);
    let backend = lab.backends()[usize::from(number) - 1].namespace();
    let directory = lab.directory().path().join(format!("mariadb{number}"));
    let id = format!("--server-id={number}");
    let options = [&[id.as_str(), "--log-bin", "--gtid-strict-mode"], options].concat();
    let hosts = format!("{balancer} balancer\n127.0.0.1 localhost\n");
    MariaDb::with_users(backend, &directory, SocketAddr::new(ip, 3306), &options, &hosts)
}

/// A primary and its replica, which is read-only, with the users that checks and clients need. The replica reaches its
/// primary through the balancer, whose kernel has to forward.
pub(super) fn pair(lab: &Lab) -> Result<(MariaDb, MariaDb)> {
    let primary = server(lab, 1, &[])?;
    primary.sql(USERS)?;
    let replica = server(lab, 2, &["--read-only"])?;
    replica.sql(&follow(primary.address()))?;
    wait_for("the replica to have the users", LIMIT, || {
        let users = replica.sql("SELECT COUNT(*) FROM mysql.user WHERE user IN ('lb', 'app', 'repl')")?;
        Ok((users == "3").then_some(()))
    })?;
    Ok((primary, replica))
}

/// Statements that make a server follow another from its first change.
fn follow(primary: SocketAddr) -> String {
    format!(
        "SET GLOBAL gtid_slave_pos = ''; CHANGE MASTER TO MASTER_HOST = '{}', MASTER_PORT = {}, \
         MASTER_USER = 'repl', MASTER_PASSWORD = '{PASSWORD}', MASTER_USE_GTID = slave_pos; START SLAVE",
        primary.ip(),
        primary.port()
    )
}

/// Where the password is, for a check.
pub(super) fn password_file(lab: &Lab) -> Result<String> {
    let file = lab.directory().path().join("password");
    std::fs::write(&file, PASSWORD)?;
    Ok(format!("user = \"lb\"\npassword_file = \"{}\"\n", file.display()))
}

/// Checks a server from the balancer's namespace, so that it meets the server from another address than loopback's, to
/// which servers are kinder.
fn check(lab: &Lab, server: &MariaDb, check: &str) -> Result<Monitored> {
    Monitored::start(lab.balancer(), &config(server, check))
}

fn config(server: &MariaDb, check: &str) -> String {
    let address = server.address();
    format!(
        "[[service]]\nname = \"db\"\nbind = [\"10.0.0.100:3306\"]\n\
         backend = [{{ name = \"db\", address = \"{address}\" }}]\n[service.check]\n{check}\n"
    )
}

/// Makes a thousand checks, a millisecond apart, which must all succeed; none is under way when it ends.
fn a_thousand(lab: &Lab, server: &MariaDb, check: &str) -> Result<()> {
    let text = config(server, &format!("type = \"mysql\"\ninter = \"1h\"\n{check}"));
    let monitored = Monitored::start_many(lab.balancer(), &text, 1000)?;
    for number in 0..1000 {
        let event = monitored.next()?;
        assert_eq!(
            event.report.outcome,
            Outcome::Ok,
            "check {number}: {}",
            event.report.detail
        );
    }
    Ok(())
}

/// Three ways to meet a server that would not take ten interrupted handshakes in a row from one host: with a login,
/// without, and, to show that it counts, by breaking off.
#[test]
fn mysql_checks_leave_no_trace() {
    in_lab(usual(), |lab| {
        let server = server(
            lab,
            1,
            &[
                "--max-connect-errors=10",
                "--max-connections=2000",
                "--performance-schema",
            ],
        )?;
        server.sql(USERS)?;
        let counted = || -> Result<(u64, u64)> {
            let errors = "SELECT COALESCE(SUM(SUM_CONNECT_ERRORS), 0) FROM performance_schema.host_cache";
            Ok((server.status("Aborted_connects")?, server.sql(errors)?.parse()?))
        };
        let before = counted()?;
        let login = password_file(lab)?;
        a_thousand(lab, &server, &login)?;
        let with_login = counted()?;
        println!(
            "1000 mysql checks with a login: Aborted_connects, connect errors {before:?} before, {with_login:?} after"
        );
        assert_eq!(with_login, before);

        a_thousand(lab, &server, "")?;
        let without = counted()?;
        println!("1000 more without one: {without:?}");
        assert_eq!(without.1, before.1, "a login that is refused is no connect error");

        lab.balancer().run(|| {
            for _ in 0..20 {
                let mut stream = TcpStream::connect_timeout(&server.address(), LIMIT)?;
                let _greeting = stream.read(&mut [0; 16])?;
                stream.shutdown(Shutdown::Both)?;
            }
            Ok(())
        })?;
        let blocked = check(lab, &server, "type = \"mysql\"\ninter = \"20ms\"")?;
        let detail = blocked.wait_for(|event| event.report.outcome == Outcome::Failed)?;
        println!("20 handshakes broken off: {:?}, then \"{detail}\"", counted()?);
        assert!(
            detail.starts_with("error 1129: Host '10.1.1.1' is blocked"),
            "{detail}"
        );
        Ok(())
    });
}

#[test]
fn mysql_conditions_follow_a_replica() {
    in_lab(usual().kernel_forwarding(true), |lab| {
        let (primary, replica) = pair(lab)?;
        let login = password_file(lab)?;
        let watch = |server: &MariaDb, conditions: &str| {
            check(
                lab,
                server,
                &format!("type = \"mysql\"\ninter = \"50ms\"\n{login}{conditions}"),
            )
        };
        let ok = |event: &lb_user::health::Event| event.report.outcome == Outcome::Ok;
        let failed = |event: &lb_user::health::Event| event.report.outcome == Outcome::Failed;

        // mysql_read_only, mysql_require_writer
        let writer = watch(&replica, "require = \"writer\"")?;
        assert_eq!(writer.wait_for(failed)?, "read_only is on");
        replica.sql("SET GLOBAL read_only = OFF")?;
        assert_eq!(writer.wait_for(ok)?, "writer");
        let read_only = watch(&replica, "read_only = true")?;
        assert_eq!(read_only.wait_for(failed)?, "read_only is off");
        replica.sql("SET GLOBAL read_only = ON")?;
        read_only.wait_for(ok)?;
        drop((writer, read_only));

        // mysql_replication, mysql_require_replica, mysql_require_reader
        let monitors = [
            "replication = true",
            "require = \"replica\"",
            "require = \"reader\"",
        ]
        .map(|conditions| watch(&replica, conditions));
        let monitors = monitors.into_iter().collect::<Result<Vec<_>>>()?;
        for monitored in &monitors {
            monitored.wait_for(ok)?;
        }
        replica.sql("STOP SLAVE SQL_THREAD")?;
        for monitored in &monitors {
            assert_eq!(monitored.wait_for(failed)?, "replication does not run");
        }
        replica.sql("START SLAVE")?;
        for monitored in &monitors {
            monitored.wait_for(ok)?;
        }
        assert_eq!(watch(&primary, "require = \"reader\"")?.wait_for(ok)?, "writer");
        assert_eq!(
            watch(&primary, "replication = true")?.wait_for(failed)?,
            "not a replica"
        );
        drop(monitors);

        // mysql_max_lag: what was written waits on the replica for an hour, and is older every second.
        let lag = watch(&replica, "max_lag = \"1s\"")?;
        lag.wait_for(ok)?;
        replica.sql("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 3600; START SLAVE")?;
        primary.sql("CREATE DATABASE late")?;
        // In between it does not run at all.
        let is_late =
            |event: &lb_user::health::Event| failed(event) && event.report.detail.ends_with(" s behind");
        println!("a replica that waits is seen as \"{}\"", lag.wait_for(is_late)?);
        replica.sql("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 0; START SLAVE")?;
        lag.wait_for(ok)?;
        Ok(())
    });
}

/// A server without room for another connection says so in its first packet.
#[test]
fn mysql_too_many_connections() {
    in_lab(usual(), |lab| {
        let server = server(lab, 1, &["--max-connections=10", "--skip-name-resolve"])?;
        server.sql(USERS)?;
        let monitored = check(
            lab,
            &server,
            &format!("type = \"mysql\"\ninter = \"50ms\"\n{}", password_file(lab)?),
        )?;
        monitored.wait_for(|event| event.report.outcome == Outcome::Ok)?;
        let _held = lab.balancer().run(|| {
            let connect = |_| {
                Ok(TcpStream::connect_timeout(
                    &server.address(),
                    Duration::from_secs(5),
                )?)
            };
            (0..20).map(connect).collect::<Result<Vec<_>>>()
        })?;
        let detail = monitored.wait_for(|event| event.report.outcome == Outcome::Failed)?;
        assert_eq!(detail, "error 1040: Too many connections");
        Ok(())
    });
}
