//! Packets of every size, through real stacks: in fragments, through a link that takes less than others, and to their
//! last hop.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Builder, Family, HOST_INTERFACE, Lab, Mode, Namespace, Role, Service, Wiring,
    backend::Process,
    load::{Direction, Transfer},
    observe::kernel_counter,
    wait_for,
};
use lb_user::config::types::Protocol;

use crate::{
    matrix::{ANSWERED_THROUGH, one_armed, tunnel, two_armed},
    story::{in_lab, usual, with_daemon},
};

/// Bytes that a narrow link takes; the others take 1,500.
const NARROW: u32 = 1_400;

/// Bytes of transfers that meet it behind the balancer, and before the client.
const LARGE: u64 = 100_000_000;
const SMALL: u64 = 10_000_000;

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
fn transfers_through_the_balancer_fit_themselves_to_narrow_links() {
    fit_themselves_to_narrow_links(&ANSWERED_THROUGH, two_armed());
}

#[test]
fn transfers_that_backends_answer_directly_fit_themselves_to_narrow_links() {
    let modes = [Mode::Dsr, tunnel(Family::V4, false), tunnel(Family::V6, true)];
    fit_themselves_to_narrow_links(&modes, one_armed());
}

/// A large upload meets the narrow link behind the balancer, which tells the client of it; a download that on the way to
/// the client, whose router tells the virtual address.
fn fit_themselves_to_narrow_links(modes: &[Mode], builder: Builder) {
    let services = services(modes);
    in_lab(builder.services(services.clone()), |lab| {
        narrow_the_links_to_backends(lab)?;
        let far = behind_a_narrow_link(lab)?;
        lab.start_daemon()?;
        for service in &services {
            large_packets_are_found_too_big(lab, || transfer(service, Direction::Upload, LARGE, &far))?;
            transfer(service, Direction::Download, SMALL, &far)?;
            // The next one is to find out anew.
            let backends = lab.backends().iter().map(Process::namespace);
            backends.chain([&far]).try_for_each(forget_narrow_links)?;
        }
        Ok(())
    });
}

fn transfer(service: &Service, direction: Direction, size: u64, from: &Namespace) -> Result<()> {
    let transfer = Transfer {
        target: service.address(),
        direction,
        size,
        seed: 3,
    };
    let began = Instant::now();
    transfer.arrives(from).context(service.name.clone())?;
    println!(
        "{}: {direction:?} of {size} bytes in {:?}",
        service.name,
        began.elapsed()
    );
    Ok(())
}

/// Checks that something makes the balancer refuse packets that are too big.
fn large_packets_are_found_too_big(lab: &Lab, what: impl FnOnce() -> Result<()>) -> Result<()> {
    let too_big = || Ok::<_, anyhow::Error>(lab.daemon()?.stats()?.packets.reasons["too_big"]);
    let before = too_big()?;
    what()?;
    ensure!(too_big()? > before, "no packet was too big");
    Ok(())
}

/// Has a host forget what it was told of the way to others.
fn forget_narrow_links(host: &Namespace) -> Result<()> {
    for family in ["-4", "-6"] {
        let status = host
            .command("ip")
            .args([family, "route", "flush", "cache"])
            .status()?;
        ensure!(status.success(), "`ip {family} route flush cache` failed");
    }
    Ok(())
}

/// A service of each mode and family.
fn services(modes: &[Mode]) -> Vec<Service> {
    let of_mode = |(number, mode): (u16, &Mode)| {
        let web = Service::usual(*mode)
            .into_iter()
            .filter(|service| service.protocol == Protocol::Tcp);
        let named = web.map(|service| Service {
            name: format!("{mode}.{:?}", service.family),
            port: service.port + number,
            ..service
        });
        named.collect::<Vec<_>>()
    };
    (0..).zip(modes).flat_map(of_mode).collect()
}

/// Has the balancer take the links to its backends for narrow ones. Backends do not know of it, and ask for segments as
/// long as their own links take.
fn narrow_the_links_to_backends(lab: &Lab) -> Result<()> {
    let wiring = lab.config().wiring;
    for role in (1..=lab.config().backends).map(Role::Backend) {
        let interface = match wiring {
            Wiring::TwoArmed => role.to_string(),
            Wiring::OneArmed => HOST_INTERFACE.to_owned(),
        };
        for family in Family::ALL {
            let address = wiring.address(role, family);
            lab.balancer()
                .ip_batch(&format!("route add {address} dev {interface} mtu {NARROW}\n"))?;
        }
    }
    Ok(())
}

#[test]
fn a_probe_whose_ttl_ends_here_is_answered() {
    // What goes back by the way it came needs an XDP program at the other end of a veth, which the bridge has.
    with_daemon(usual().wiring(Wiring::OneArmed), |lab| {
        let target = lab.echo(Family::V4);
        let before = kernel_counter(lab.client(), "Icmp", "InTimeExcds")?;
        lab.client().run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_ttl(1)?;
            socket.send_to(b"probe", target)?;
            Ok(())
        })?;
        wait_for("the report of an exceeded TTL", PATIENCE, || {
            Ok((kernel_counter(lab.client(), "Icmp", "InTimeExcds")? > before).then_some(()))
        })?;
        Ok(())
    });
}

/// A host behind the client, which is its router and takes no more than a narrow link's bytes towards it. Backends that
/// answer directly know the way.
fn behind_a_narrow_link(lab: &Lab) -> Result<Namespace> {
    let far = Namespace::create(&format!("{}-far", lab.directory().identity()))?;
    let client = lab.client();
    client.ip_batch(&format!(
        "link add far type veth peer name eth0 netns {far}\n\
         link set far up\n\
         address add 10.9.0.1/24 dev far\n\
         address add fd09::1/64 dev far nodad\n\
         route change 10.9.0.0/24 dev far mtu {NARROW}\n\
         route add fd09::2/128 dev far mtu {NARROW}\n",
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
    let wiring = lab.config().wiring;
    if wiring == Wiring::OneArmed {
        let [v4, v6] = Family::ALL.map(|family| wiring.address(Role::Client, family));
        for backend in lab.backends() {
            backend.namespace().ip_batch(&format!(
                "route add 10.9.0.0/24 via {v4}\nroute add fd09::/64 via {v6}\n"
            ))?;
        }
    }
    Ok(far)
}
