//! Packets of every size, through real stacks: in fragments, through a link that takes less than others, and to their
//! last hop.

use std::{fs, net::UdpSocket, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Family, Lab, Namespace, Wiring,
    load::{Direction, Transfer},
    wait_for,
};

use crate::story::{usual, with_daemon};

/// Far above what an answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn datagrams_in_fragments_come_back() {
    with_daemon(usual(), |lab| {
        for family in Family::ALL {
            let target = lab.echo(family);
            lab.client().run(|| {
                let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                for size in [1_473, 2_960, 8_000, 20_001] {
                    let socket = UdpSocket::bind(any)?;
                    socket.connect(target)?;
                    socket.set_read_timeout(Some(PATIENCE))?;
                    let sent: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
                    let mut received = vec![0; 65_535];
                    socket.send(&sent)?;
                    let length = socket
                        .recv(&mut received)
                        .with_context(|| format!("{size} bytes to {target} did not come back"))?;
                    ensure!(received[..length] == sent, "{size} bytes came back changed");
                }
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_download_fits_itself_to_a_narrow_link_before_the_client() {
    with_daemon(usual(), |lab| {
        let far = behind_a_narrow_link(lab)?;
        for family in Family::ALL {
            let transfer = Transfer {
                target: lab.web(family),
                direction: Direction::Download,
                size: 20_000_000,
                seed: 3,
            };
            assert!(transfer.run(&far)?.is_intact(), "{family:?}");
        }
        Ok(())
    });
}

#[test]
fn a_probe_whose_ttl_ends_here_is_answered() {
    // What goes back by the way it came needs an XDP program at the other end of a veth, which the bridge has.
    with_daemon(usual().wiring(Wiring::OneArmed), |lab| {
        let target = lab.echo(Family::V4);
        let before = times_exceeded(lab.client())?;
        lab.client().run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_ttl(1)?;
            socket.send_to(b"probe", target)?;
            Ok(())
        })?;
        wait_for("the report of an exceeded TTL", PATIENCE, || {
            Ok((times_exceeded(lab.client())? > before).then_some(()))
        })?;
        Ok(())
    });
}

/// A host behind the client, which is its router and takes no more than 1,400 bytes towards it.
fn behind_a_narrow_link(lab: &Lab) -> Result<Namespace> {
    let far = Namespace::create(&format!("{}-far", lab.directory().identity()))?;
    let client = lab.client();
    client.ip_batch(&format!(
        "link add far type veth peer name eth0 netns {far}\n\
         link set far up\n\
         address add 10.9.0.1/24 dev far\n\
         address add fd09::1/64 dev far nodad\n\
         route change 10.9.0.0/24 dev far mtu 1400\n\
         route add fd09::2/128 dev far mtu 1400\n",
        far = far.name(),
    ))?;
    client.sysctl("ipv4/ip_forward", "1")?;
    client.sysctl("ipv6/conf/all/forwarding", "1")?;
    far.ip_batch(
        "link set lo up\n\
         link set eth0 up\n\
         address add 10.9.0.2/24 dev eth0\n\
         address add fd09::2/64 dev eth0 nodad\n\
         route add default via 10.9.0.1\n\
         route add default via fd09::1\n",
    )?;
    Ok(far)
}

/// ICMP messages of an exceeded TTL that a namespace's hosts have received.
fn times_exceeded(namespace: &Namespace) -> Result<u64> {
    namespace.run(|| {
        let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
        let mut lines = text.lines().filter(|line| line.starts_with("Icmp:"));
        let (names, values) = (lines.next(), lines.next());
        let (names, values) = (
            names.context("no ICMP counters")?,
            values.context("no ICMP counters")?,
        );
        let mut pairs = names.split(' ').zip(values.split(' '));
        let found = pairs.find(|(name, _)| *name == "InTimeExcds");
        Ok(found.context("no counter InTimeExcds")?.1.parse()?)
    })
}
