//! From a route, the links and the neighbours to a next hop, or the reason why there is none.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    NextHop, Unresolved,
    tables::{Link, Links, Neighbour, NeighbourKey, Neighbours, Route},
};

/// What the kernel said last, besides the routes.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) links: Links,
    pub(super) neighbours: Neighbours,
    /// Hardware addresses in use: they stay in use while a neighbour that was flushed from the kernel's table
    /// is asked again.
    pub(super) in_use: HashMap<NeighbourKey, [u8; 6]>,
}

/// A destination's next hop, and what the kernel should be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) next_hop: Result<NextHop, Unresolved>,
    /// Who the packets are handed to, as far as a route and a link lead there.
    pub(super) neighbour: Option<NeighbourKey>,
    /// Whether the kernel should ask the neighbour for its hardware address.
    pub(super) ask: bool,
}

impl Tables {
    /// Puts a destination's route together with its link and its neighbour.
    pub(super) fn resolve(&self, destination: IpAddr, route: &Result<Route, Unresolved>) -> Resolution {
        match route.clone().and_then(|route| self.way_out(&route)) {
            Ok(way) => self.meet(destination, way),
            Err(Unresolved::Local) if destination.is_loopback() => Resolution {
                next_hop: Err(Unresolved::Loopback),
                neighbour: None,
                ask: false,
            },
            Err(reason) => Resolution {
                next_hop: Err(reason),
                neighbour: None,
                ask: false,
            },
        }
    }

    fn way_out(&self, route: &Route) -> Result<WayOut<'_>, Unresolved> {
        let Some(link) = self.links.get(&route.ifindex) else {
            return Err(Unresolved::LinkDown {
                interface: format!("interface {}", route.ifindex),
            });
        };
        let interface = || link.name.to_string();
        let Some(own_mac) = link.mac else {
            return Err(Unresolved::NotEthernet {
                interface: interface(),
            });
        };
        if !link.up {
            return Err(Unresolved::LinkDown {
                interface: interface(),
            });
        }
        let Some(source) = route.source else {
            return Err(Unresolved::NoSource {
                interface: interface(),
            });
        };
        let mtu = route.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu));
        Ok(WayOut {
            ifindex: route.ifindex,
            gateway: route.gateway,
            link,
            own_mac,
            source,
            mtu,
        })
    }

    fn meet(&self, destination: IpAddr, way: WayOut<'_>) -> Resolution {
        let address = way.gateway.unwrap_or(destination);
        let key = NeighbourKey {
            ifindex: way.ifindex,
            address,
        };
        let entry = self.neighbours.get(&key).copied();
        let mac = match entry {
            Some(Neighbour::Known(mac) | Neighbour::Stale(mac)) => Some(mac),
            Some(Neighbour::Asked) | None => self.in_use.get(&key).copied(),
            Some(Neighbour::Failed) => None,
        };
        let interface = way.link.name.to_string();
        let next_hop = match mac {
            Some(peer_mac) => Ok(way.to(peer_mac)),
            None if entry == Some(Neighbour::Failed) => Err(Unresolved::NoAnswer {
                neighbour: address,
                interface,
            }),
            None => Err(Unresolved::Waiting {
                neighbour: address,
                interface,
            }),
        };
        let ask = matches!(entry, None | Some(Neighbour::Stale(_) | Neighbour::Failed));
        Resolution {
            next_hop,
            neighbour: Some(key),
            ask,
        }
    }
}

/// How packets leave this host; only the neighbour's hardware address is missing.
struct WayOut<'a> {
    ifindex: u32,
    gateway: Option<IpAddr>,
    link: &'a Link,
    own_mac: [u8; 6],
    source: IpAddr,
    mtu: u32,
}

impl WayOut<'_> {
    fn to(self, peer_mac: [u8; 6]) -> NextHop {
        let Self {
            ifindex,
            gateway,
            link,
            own_mac,
            source,
            mtu,
        } = self;
        NextHop {
            ifindex,
            interface: Arc::clone(&link.name),
            source,
            own_mac,
            peer_mac,
            mtu,
            gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const BACKEND: &str = "10.0.0.80";
    const GATEWAY: &str = "fe80::9";

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn key(address: &str) -> NeighbourKey {
        NeighbourKey {
            ifindex: 3,
            address: ip(address),
        }
    }

    fn route() -> Route {
        Route {
            ifindex: 3,
            gateway: None,
            source: Some(ip("10.0.0.1")),
            mtu: None,
        }
    }

    fn link() -> Link {
        Link {
            name: "eth0".into(),
            up: true,
            mac: Some(OWN),
            mtu: 1500,
        }
    }

    fn tables(link: Link, neighbour: Option<(&str, Neighbour)>) -> Tables {
        Tables {
            links: [(3, link)].into(),
            neighbours: neighbour
                .into_iter()
                .map(|(address, neighbour)| (key(address), neighbour))
                .collect(),
            in_use: HashMap::new(),
        }
    }

    fn reached() -> NextHop {
        let (interface, source) = ("eth0".into(), ip("10.0.0.1"));
        NextHop {
            ifindex: 3,
            interface,
            source,
            own_mac: OWN,
            peer_mac: PEER,
            mtu: 1500,
            gateway: None,
        }
    }

    fn words(resolution: Resolution) -> String {
        resolution.next_hop.expect_err("resolved").to_string()
    }

    #[test]
    fn the_neighbours_state_decides() {
        let waiting = "waiting for 10.0.0.80 to answer on eth0";
        let silent = "10.0.0.80 does not answer on eth0";
        for (neighbour, expected, ask) in [
            (Some(Neighbour::Known(PEER)), Ok(reached()), false),
            (Some(Neighbour::Stale(PEER)), Ok(reached()), true),
            (Some(Neighbour::Asked), Err(waiting), false),
            (Some(Neighbour::Failed), Err(silent), true),
            (None, Err(waiting), true),
        ] {
            let tables = tables(link(), neighbour.map(|neighbour| (BACKEND, neighbour)));
            let found = tables.resolve(ip(BACKEND), &Ok(route()));
            assert_eq!(
                found.next_hop.map_err(|reason| reason.to_string()),
                expected.map_err(str::to_owned)
            );
            assert_eq!(
                (found.neighbour, found.ask),
                (Some(key(BACKEND)), ask),
                "{neighbour:?}"
            );
        }
    }

    #[test]
    fn an_address_in_use_outlasts_the_question_but_not_the_silence() {
        for (neighbour, stays) in [
            (None, true),
            (Some(Neighbour::Asked), true),
            (Some(Neighbour::Failed), false),
        ] {
            let mut tables = tables(link(), neighbour.map(|neighbour| (BACKEND, neighbour)));
            tables.in_use.insert(key(BACKEND), PEER);
            let found = tables.resolve(ip(BACKEND), &Ok(route()));
            assert_eq!(found.next_hop.ok(), stays.then(reached), "{neighbour:?}");
        }
    }

    #[test]
    fn the_gateway_is_the_neighbour() {
        let route = Route {
            gateway: Some(ip(GATEWAY)),
            ..route()
        };
        let found =
            tables(link(), Some((GATEWAY, Neighbour::Known(PEER)))).resolve(ip(BACKEND), &Ok(route.clone()));
        assert_eq!(
            (found.next_hop, found.neighbour),
            (
                Ok(NextHop {
                    gateway: Some(ip(GATEWAY)),
                    ..reached()
                }),
                Some(key(GATEWAY))
            )
        );
        let elsewhere = NeighbourKey {
            ifindex: 4,
            address: ip(GATEWAY),
        };
        let mut tables = tables(link(), None);
        tables.neighbours.insert(elsewhere, Neighbour::Known(PEER));
        assert_eq!(
            words(tables.resolve(ip(BACKEND), &Ok(route))),
            "waiting for fe80::9 to answer on eth0"
        );
    }

    #[test]
    fn the_smaller_mtu_counts() {
        for (mtu, expected) in [(None, 1500), (Some(1300), 1300), (Some(9000), 1500)] {
            let tables = tables(link(), Some((BACKEND, Neighbour::Known(PEER))));
            let found = tables.resolve(ip(BACKEND), &Ok(Route { mtu, ..route() }));
            assert_eq!(found.next_hop.unwrap().mtu, expected);
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let no_source = Route {
            source: None,
            ..route()
        };
        let elsewhere = Route {
            ifindex: 9,
            ..route()
        };
        for (link, route, expected) in [
            (Link { up: false, ..link() }, Ok(route()), "eth0 is down"),
            (
                Link { mac: None, ..link() },
                Ok(route()),
                "eth0 is not an Ethernet interface",
            ),
            (link(), Ok(no_source), "eth0 has no address to send from"),
            (link(), Ok(elsewhere), "interface 9 is down"),
            (link(), Err(Unresolved::Local), "the address belongs to this host"),
        ] {
            let tables = tables(link, Some((BACKEND, Neighbour::Known(PEER))));
            let found = tables.resolve(ip(BACKEND), &route);
            assert!(!found.ask);
            assert_eq!(words(found), expected);
        }
    }
}
