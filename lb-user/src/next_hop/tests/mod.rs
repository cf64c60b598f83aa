//! The resolver against the kernel. Needs root.

use std::{net::UdpSocket, time::Duration};

use tokio::time;

use self::lab::{LIMIT, Lab, View, ip};
use super::*;

mod lab;

const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];

fn own_ifindex() -> u32 {
    nix::net::if_::if_nametoindex("own").unwrap()
}

fn by_own(source: &str, peer_mac: [u8; 6], mtu: u32) -> NextHop {
    let (ifindex, interface) = (own_ifindex(), "own".into());
    NextHop {
        ifindex,
        interface,
        source: ip(source),
        own_mac: OWN_MAC,
        peer_mac,
        mtu,
        gateway: None,
    }
}

#[test]
fn neighbours_are_found_over_both_protocols() {
    Lab::new().test(&["10.9.0.2", "fd09::2"], async |mut view| {
        for (destination, source) in [("10.9.0.2", "10.9.0.1"), ("fd09::2", "fd09::1")] {
            view.until_reached(destination).await;
            assert_eq!(view.next_hop(destination), by_own(source, PEER_MAC, 1400));
        }
    });
}

#[test]
fn gateways_are_used_and_followed() {
    let lab = Lab::new();
    lab.here.ip("address add 10.9.0.7/32 dev own");
    lab.here
        .ip("route add 198.51.100.0/24 via 10.9.0.2 src 10.9.0.7 mtu 1300");
    lab.here.ip("route add 203.0.113.0/24 via inet6 fe80::9 dev own");
    lab.here.ip("route add 2001:db8::/32 via fe80::9 dev own");
    lab.test(
        &["198.51.100.5", "203.0.113.5", "2001:db8::5", "192.0.2.5"],
        async |mut view| {
            for (destination, source, mtu, gateway) in [
                ("198.51.100.5", "10.9.0.7", 1300, "10.9.0.2"),
                ("203.0.113.5", "10.9.0.1", 1400, "fe80::9"),
                ("2001:db8::5", "fd09::1", 1400, "fe80::9"),
            ] {
                view.until_reached(destination).await;
                let expected = NextHop {
                    gateway: Some(ip(gateway)),
                    ..by_own(source, PEER_MAC, mtu)
                };
                assert_eq!(view.next_hop(destination), expected);
            }
            view.until_unresolved("192.0.2.5", "no route").await;
            lab.here.ip("route add default via 10.9.0.2");
            view.until_reached("192.0.2.5").await;
            lab.there.ip("address add 10.9.0.8/24 dev peer");
            lab.here.ip("route add 192.0.2.0/24 via 10.9.0.88");
            view.until_unresolved("192.0.2.5", "waiting for 10.9.0.88 to answer on own")
                .await;
            lab.here.ip("route replace 192.0.2.0/24 via 10.9.0.8");
            view.until_reached("192.0.2.5").await;
            lab.here.ip("route replace prohibit 192.0.2.0/24");
            view.until_unresolved("192.0.2.5", "the route says prohibit")
                .await;
        },
    );
}

#[test]
fn a_new_hardware_address_is_seen() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        lab.there.ip("link set peer address 02:00:00:00:00:03");
        let socket = lab.there.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        // The peer has forgotten us with its old address, and asks again from its new one. The kernel believes
        // no news of a neighbour within a second of the last: hence more than once.
        let announce = async {
            loop {
                lab.there.ip("neighbour flush dev peer");
                socket.send_to(b"here I am", "10.9.0.1:9").unwrap();
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = announce => {}
            () = view.until("10.9.0.2", |next_hop| next_hop.as_ref().is_ok_and(|hop| hop.peer_mac == OTHER_MAC)) => {}
        }
    });
}

#[test]
fn own_changes_are_seen() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        lab.here.ip("link set own mtu 1280");
        view.until("10.9.0.2", |next_hop| {
            next_hop.as_ref().is_ok_and(|hop| hop.mtu == 1280)
        })
        .await;
        lab.here.ip("link set own address 02:00:00:00:00:03");
        view.until("10.9.0.2", |next_hop| {
            next_hop.as_ref().is_ok_and(|hop| hop.own_mac == OTHER_MAC)
        })
        .await;
    });
}

#[test]
fn a_link_goes_down_and_comes_back() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        lab.there.ip("link set peer down");
        view.until_unresolved("10.9.0.2", "own is down").await;
        lab.there.ip("link set peer up");
        view.until_reached("10.9.0.2").await;
        lab.here.ip("link set own down");
        view.until_unresolved("10.9.0.2", "no route").await;
        lab.here.ip("link set own up");
        view.until_reached("10.9.0.2").await;
        lab.here.ip("link delete own");
        view.until_unresolved("10.9.0.2", "no route").await;
    });
}

#[test]
fn a_silent_neighbour_is_asked_until_it_answers() {
    let lab = Lab::new();
    lab.test(&["10.9.0.77", "fd09::77"], async |mut view| {
        for destination in ["10.9.0.77", "fd09::77"] {
            view.until_unresolved(destination, &format!("{destination} does not answer on own"))
                .await;
        }
        lab.there.ip("address add 10.9.0.77/24 dev peer");
        lab.there.ip("address add fd09::77/64 dev peer nodad");
        for destination in ["10.9.0.77", "fd09::77"] {
            view.until_reached(destination).await;
        }
    });
}

#[test]
fn stale_neighbours_are_confirmed_and_flushed_ones_kept() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        view.next_hops.mark_unchanged();
        lab.here
            .ip("neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev own nud stale");
        let netlink = netlink::Netlink::open().unwrap();
        let key = tables::NeighbourKey {
            ifindex: own_ifindex(),
            address: ip("10.9.0.2"),
        };
        until_known(&netlink, key).await;
        lab.here.ip("neighbour flush dev own");
        until_known(&netlink, key).await;
        assert!(
            !view.next_hops.has_changed().unwrap(),
            "{:?}",
            view.next_hops.borrow()
        );
    });
}

/// Waits until the kernel has or seeks confirmation of a neighbour.
async fn until_known(netlink: &netlink::Netlink, key: tables::NeighbourKey) {
    let confirmed = async {
        while netlink.neighbours().await.unwrap().get(&key) != Some(&tables::Neighbour::Known(PEER_MAC)) {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(LIMIT, confirmed)
        .await
        .expect("the kernel was not made to ask");
}

#[test]
fn what_cannot_be_reached_is_said_in_words() {
    const LOOPBACK: &str = "this host takes packets from outside to its loopback addresses for forged: give the \
                            backend another address of this host";

    let lab = Lab::new();
    lab.here.ip("route add blackhole 192.0.2.1");
    lab.here.ip("route add unreachable 192.0.2.2");
    lab.here.ip("route add unreachable 2001:db8::2");
    lab.here.ip("route add blackhole 2001:db8::1");
    lab.here.ip("tuntap add tun0 mode tun");
    lab.here.ip("address add 10.8.0.1/24 dev tun0");
    lab.here.ip("link set tun0 up");
    let expected = [
        ("10.9.0.1", "the address belongs to this host"),
        ("fd09::1", "the address belongs to this host"),
        ("127.0.0.1", LOOPBACK),
        ("::1", LOOPBACK),
        ("203.0.113.1", "no route"),
        ("2001:db8::3", "no route"),
        ("192.0.2.1", "the route says blackhole"),
        ("2001:db8::1", "the route says blackhole"),
        ("192.0.2.2", "the route says unreachable"),
        ("2001:db8::2", "the route says unreachable"),
        ("10.9.0.255", "the route says broadcast"),
        ("10.8.0.2", "tun0 is not an Ethernet interface"),
    ];
    let destinations: Vec<_> = expected.iter().map(|&(destination, _)| destination).collect();
    lab.test(&destinations, async |mut view| {
        for (destination, reason) in expected {
            view.until_unresolved(destination, reason).await;
        }
    });
}

#[test]
fn destinations_come_and_go() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        view.resolver.set_destinations([ip("fd09::2")].into());
        view.until_reached("fd09::2").await;
        assert_eq!(view.next_hops.borrow().len(), 1);
    });
}

#[test]
fn nothing_is_published_when_nothing_differs() {
    let lab = Lab::new();
    lab.test(&["10.9.0.2"], async |mut view| {
        view.until_reached("10.9.0.2").await;
        view.next_hops.mark_unchanged();
        lab.here.ip("link add unrelated type veth peer name elsewhere");
        lab.here.ip("address add 10.7.0.1/24 dev unrelated");
        lab.here.ip("link set unrelated up");
        lab.here
            .ip("neighbour add 10.7.0.2 lladdr 02:00:00:00:00:09 dev unrelated");
        let published = time::timeout(Duration::from_millis(500), view.next_hops.changed()).await;
        assert!(
            published.is_err(),
            "published without need: {:?}",
            view.next_hops.borrow()
        );
    });
}

#[test]
fn dropping_the_resolver_ends_the_watch() {
    let lab = Lab::new();
    lab.test(
        &["10.9.0.2"],
        async |View {
                   resolver,
                   mut next_hops,
               }| {
            drop(resolver);
            let ended = async { while next_hops.changed().await.is_ok() {} };
            time::timeout(LIMIT, ended).await.expect("it is still watched");
        },
    );
}
