//! A primary dies, its replica takes over, and the services' addresses follow by themselves.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Family, Lab, Namespace, wait_for};

use super::{global, mariadb};
use crate::story::{in_lab, usual};

const INTER: Duration = Duration::from_millis(500);
const RISE: u32 = 2;
/// For asking the daemon, and starting clients, on a machine that is busy with databases.
const MARGIN: Duration = Duration::from_secs(1);

/// A service for writes and one for reads over the same two servers. Reads go to the primary only where there is no
/// replica.
fn services(lab: &Lab, servers: [SocketAddr; 2]) -> Result<String> {
    let login = mariadb::password_file(lab)?;
    let [first, second] = servers;
    let (inter, vip) = (INTER.as_millis(), Family::V4.vip());
    let service = |name: &str, port: u16, keep: &str, role: &str, backup: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nbind = [\"{vip}:{port}\"]\n{keep}\n\
             [service.check]\ntype = \"mysql\"\ninter = \"{inter}ms\"\nrise = {RISE}\nfall = 3\n{login}\
             require = \"{role}\"\n\
             [[service.backend]]\nname = \"db1\"\naddress = \"{first}\"\n{backup}\n\
             [[service.backend]]\nname = \"db2\"\naddress = \"{second}\"\n"
        )
    };
    let reader = service("reader", 3307, "on_down = \"keep\"", "reader", "backup = true");
    Ok(global(lab) + &service("writer", 3306, "", "writer", "") + &reader)
}

/// Has a client ask the server at a service's address.
fn ask(client: &Namespace, port: u16, question: &str) -> Result<String> {
    let mut mariadb: Command = client.command("mariadb");
    mariadb.args(["--no-defaults", "--user=app", "--password=geheim", "--batch"]);
    mariadb.args(["--skip-column-names", "--connect-timeout=5", "--protocol=tcp"]);
    mariadb.arg(format!("--host={}", Family::V4.vip()));
    mariadb.arg(format!("--port={port}"));
    let output = mariadb.args(["--execute", question]).output()?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(answer)
}

/// Clients that read one after the other until they are told to stop.
struct Readers {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Readers {
    fn start(client: &Namespace) -> Self {
        let (stop, answers) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let thread = std::thread::spawn({
            let (client, stop, answers) = (client.clone(), Arc::clone(&stop), Arc::clone(&answers));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&client, 3307, "SELECT COUNT(*) FROM shop.orders")?;
                    ensure!(answer.parse::<u64>().is_ok(), "{answer}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        });
        Self {
            stop,
            answers,
            thread,
        }
    }

    /// How many were answered; an error if one was not.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .ok()
            .context("a reader panicked")?
            .context("a client that reads saw an error")?;
        Ok(self.answers.load(Ordering::Relaxed))
    }
}

#[test]
fn a_failover_moves_the_writers_address_and_readers_notice_nothing() {
    in_lab(usual().kernel_forwarding(true), |lab| {
        let (mut primary, replica) = mariadb::pair(lab)?;
        let config = services(lab, [primary.address(), replica.address()])?;
        lab.write_config(&config)?;
        lab.start_daemon_unready(&config)?;
        let daemon = lab.daemon()?;
        for (service, backend, state) in [
            ("writer", "db1", "up"),
            ("reader", "db1", "up"),
            ("reader", "db2", "up"),
        ] {
            daemon.wait_for_state(service, backend, state, super::LIMIT)?;
        }
        daemon.wait_for_state("writer", "db2", "down", super::LIMIT)?;
        let write = |question: &str| ask(lab.client(), 3306, question);
        write("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT); INSERT INTO shop.orders VALUES (1)")?;
        wait_for("the replica to have it", super::LIMIT, || {
            Ok(replica
                .sql("SELECT COUNT(*) FROM shop.orders")
                .ok()
                .filter(|count| count == "1"))
        })?;
        let readers = Readers::start(lab.client());

        primary.kill()?;
        replica.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF")?;
        let promoted = Instant::now();
        wait_for("a write to succeed", super::LIMIT, || {
            Ok(write("INSERT INTO shop.orders VALUES (2)").ok())
        })?;
        let took = promoted.elapsed();
        daemon.wait_for_state("writer", "db1", "down", super::LIMIT)?;
        daemon.wait_for_state("reader", "db1", "down", super::LIMIT)?;
        let answers = readers.stop()?;
        let goal = INTER * RISE;
        println!(
            "writes go on {took:?} after the promotion (goal: rise × inter, {goal:?}); {answers} reads, no error"
        );
        assert!(took <= goal + MARGIN, "{took:?}");
        assert!(answers >= 10, "only {answers} reads: they prove nothing");
        assert_eq!(replica.sql("SELECT COUNT(*) FROM shop.orders")?, "2");
        Ok(())
    });
}
