//! Who may open flows, and what one source may take, with connections of a real TCP stack.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use lab::{
    Family, Lab, Role,
    load::{Echo, Requests},
    wait_for,
};
use lb_common::Reason;

use crate::{
    choosing::{connect, hold, reason},
    story::{in_lab, outlives_its_daemon, usual},
};

const LIMIT: Duration = Duration::from_secs(20);

/// The usual configuration with lines more in `[global]` and in the service `web`.
fn config(lab: &Lab, global: &str, web: &str) -> String {
    let text = lab.config().to_toml();
    text.replacen("[global]\n", &format!("[global]\n{global}\n"), 1)
        .replacen("name = \"web\"\n", &format!("name = \"web\"\n{web}\n"), 1)
}

fn client(lab: &Lab, family: Family) -> IpAddr {
    lab.config().wiring.address(Role::Client, family)
}

/// Lets a daemon go, and the next one go on with its packet path.
fn restart(lab: &mut Lab, config: &str) -> Result<()> {
    lab.kill_daemon()?;
    lab.start_daemon_on(config)?;
    Ok(())
}

#[test]
fn who_is_denied_gets_no_answer() {
    in_lab(usual(), |lab| {
        let deny = format!("deny = [\"{}\"]", client(lab, Family::V4));
        let text = config(lab, &deny, "");
        lab.start_daemon_on(&text)?;
        assert!(connect(lab).is_err(), "IPv4 is denied");
        assert!(reason(lab, Reason::Denied)? > 0, "and this is counted");
        let report = Requests::new(lab.web(Family::V6), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "IPv6 is not: {report}");
        Ok(())
    });
}

#[test]
fn who_is_not_allowed_gets_no_answer() {
    in_lab(usual(), |lab| {
        let text = config(lab, "", "allow = [\"203.0.113.0/24\"]");
        lab.start_daemon_on(&text)?;
        assert!(connect(lab).is_err(), "the client is not in the list");
        let echo = Echo {
            target: lab.echo(Family::V4),
            flows: 5,
            datagrams: 20,
        };
        assert_eq!(echo.run(lab.client())?.lost(), 0, "another service");
        Ok(())
    });
}

#[test]
fn who_is_allowed_is_served() {
    in_lab(usual(), |lab| {
        let allow = format!(
            "allow = [\"{}\"]\ndeny = [\"0.0.0.0/0\"]",
            client(lab, Family::V4)
        );
        let text = config(lab, "", &allow);
        lab.start_daemon_on(&text)?;
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn a_hundred_thousand_networks_are_loaded_and_asked() {
    in_lab(usual(), |lab| {
        let plain = config(lab, "", "");
        let start = Instant::now();
        lab.start_daemon_on(&plain)?;
        let without = start.elapsed();
        lab.stop_daemon()?;
        // Every other address from 128.0.0.0 on: none joins its neighbour.
        let address = |number: u32| Ipv4Addr::from(1 << 31 | number << 1);
        let others: Vec<String> = (0..99_999)
            .map(|number| format!("\"{}\"", address(number)))
            .collect();
        let deny = format!("deny = [{}, \"{}\"]", others.join(","), client(lab, Family::V4));
        let text = config(lab, &deny, "");
        let start = Instant::now();
        lab.start_daemon_on(&text)?;
        let with = start.elapsed();
        println!("started in {without:?}, with 100,000 networks in {with:?}");
        assert!(connect(lab).is_err(), "the client is in the list");
        assert!(reason(lab, Reason::Denied)? > 0);
        let report = Requests::new(lab.web(Family::V6), 100).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        Ok(())
    });
}

#[test]
fn connections_live_on_when_their_source_is_denied() {
    if !outlives_its_daemon() {
        return;
    }
    in_lab(usual(), |lab| {
        let deny = format!("deny = [\"{}\"]", client(lab, Family::V4));
        let (open, closed) = (config(lab, "", ""), config(lab, "", &deny));
        lab.start_daemon_on(&open)?;
        let transfers = Requests::new(lab.web(Family::V6), 100);
        for _ in 0..3 {
            let held = hold(lab, 5)?;
            restart(lab, &closed)?;
            assert!(connect(lab).is_err(), "denied now");
            let (count, _) = lab.daemon()?.flows()?;
            assert!(count >= 5, "{count} flows are left of 5");
            assert_eq!(transfers.run(lab.client())?.failed, 0);
            drop(held);
            restart(lab, &open)?;
            connect(lab)?;
        }
        Ok(())
    });
}

#[test]
fn a_source_has_so_many_connections_and_no_more() {
    in_lab(usual(), |lab| {
        let text = config(lab, "", "limits = { active_flows = 3 }");
        lab.start_daemon_on(&text)?;
        let mut held = hold(lab, 3)?;
        assert!(connect(lab).is_err(), "the fourth");
        assert!(reason(lab, Reason::SourceFull)? > 0, "and this is counted");
        if outlives_its_daemon() {
            restart(lab, &text)?;
            assert!(connect(lab).is_err(), "the next daemon knows of three");
        }
        drop(held.pop());
        let (another, _) = wait_for("room for another", LIMIT, || Ok(connect(lab).ok()))?;
        held.push(another);
        assert!(connect(lab).is_err(), "the fourth again");
        Ok(())
    });
}

#[test]
fn a_source_opens_so_many_connections_in_a_second() {
    in_lab(usual(), |lab| {
        let text = config(lab, "", "limits = { new_flows_per_second = 5 }");
        lab.start_daemon_on(&text)?;
        let start = Instant::now();
        let mut opened = 0;
        while connect(lab).is_ok() {
            opened += 1;
        }
        let seconds = start.elapsed().as_secs();
        assert!(
            opened >= 5 && opened <= 5 * (seconds + 2),
            "{opened} in {seconds} seconds"
        );
        assert!(reason(lab, Reason::SourceFlows)? > 0, "and this is counted");
        wait_for("the next second", LIMIT, || Ok(connect(lab).ok()))?;
        Ok(())
    });
}

#[test]
fn a_source_sends_so_many_packets_in_a_second() {
    const SENT: u64 = 200;

    in_lab(usual(), |lab| {
        let limited = "name = \"echo\"\nlimits = { packets_per_second = 20 }\n";
        let text = lab.config().to_toml().replacen("name = \"echo\"\n", limited, 1);
        lab.start_daemon_on(&text)?;
        let start = Instant::now();
        let returned = burst(lab, SENT)?;
        let seconds = start.elapsed().as_secs();
        let refused = reason(lab, Reason::SourcePackets)?;
        println!("{returned} of {SENT} datagrams came back, {refused} were refused, in {seconds} s");
        assert_eq!(returned + refused, SENT, "each is one or the other");
        assert!(
            returned >= 20 && returned <= 20 * (seconds + 2),
            "{returned} in {seconds} s"
        );
        Ok(())
    });
}

/// Sends datagrams without waiting for answers; how many came back.
fn burst(lab: &Lab, count: u64) -> Result<u64> {
    const QUIET: Duration = Duration::from_millis(500);

    let target = lab.echo(Family::V4);
    lab.client().run(move || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(target)?;
        socket.set_read_timeout(Some(QUIET))?;
        for number in 0..count {
            socket.send(&number.to_be_bytes())?;
        }
        let (mut buffer, mut returned) = ([0; 64], 0);
        loop {
            match socket.recv(&mut buffer) {
                Ok(_) => returned += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(returned),
                Err(error) => return Err(error).context("no answers"),
            }
        }
    })
}
