//! The kernel's routes, links and neighbours, as far as next hops need them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use netlink_packet_route::{
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia},
};

use super::Unresolved;

/// Links by their number.
pub(super) type Links = HashMap<u32, Link>;

/// Neighbours by whom and where they are.
pub(super) type Neighbours = HashMap<NeighbourKey, Neighbour>;

/// The route to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) ifindex: u32,
    /// `None`: the destination is a neighbour itself.
    pub(super) gateway: Option<IpAddr>,
    /// The address that the kernel would send from.
    pub(super) source: Option<IpAddr>,
    /// A limit of the route's own, or one learnt on the path.
    pub(super) mtu: Option<u32>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: Arc<str>,
    /// Administratively up, with carrier.
    pub(super) up: bool,
    /// Its hardware address, when it is an Ethernet interface.
    pub(super) mac: Option<[u8; 6]>,
    pub(super) mtu: u32,
}

/// A neighbour's address, and the interface that it is on: IPv6 link-local addresses mean nothing without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NeighbourKey {
    pub(super) ifindex: u32,
    pub(super) address: IpAddr,
}

/// What the kernel knows about a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Its hardware address, confirmed lately or being confirmed.
    Known([u8; 6]),
    /// Its hardware address, which nobody has confirmed for a while.
    Stale([u8; 6]),
    /// It is being asked.
    Asked,
    /// It did not answer.
    Failed,
}

impl TryFrom<RouteMessage> for Route {
    type Error = Unresolved;

    fn try_from(message: RouteMessage) -> Result<Self, Unresolved> {
        refuse(message.header.kind)?;
        let mut ifindex = None;
        let (mut gateway, mut source, mut mtu) = (None, None, None);
        for attribute in message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => ifindex = Some(index),
                RouteAttribute::Gateway(address) => gateway = ip(&address),
                // An IPv4 route by way of an IPv6 neighbour (RFC 5549).
                RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some(address.into()),
                RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some(address.into()),
                RouteAttribute::PrefSource(address) => source = ip(&address),
                RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(metric_mtu),
                _ => {}
            }
        }
        let ifindex = ifindex.ok_or(Unresolved::NoRoute)?;
        Ok(Self {
            ifindex,
            gateway,
            source,
            mtu,
        })
    }
}

/// Lets pass only what is forwarded to another host.
fn refuse(kind: RouteType) -> Result<(), Unresolved> {
    Err(match kind {
        RouteType::Unicast => return Ok(()),
        RouteType::Local | RouteType::Anycast => Unresolved::Local,
        RouteType::Broadcast => Unresolved::Refused("broadcast"),
        RouteType::Multicast => Unresolved::Refused("multicast"),
        RouteType::BlackHole => Unresolved::Refused("blackhole"),
        RouteType::Prohibit => Unresolved::Refused("prohibit"),
        RouteType::Unreachable => Unresolved::Refused("unreachable"),
        _ => Unresolved::NoRoute,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn metric_mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
        _ => None,
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let header = message.header;
        let ethernet = header.link_layer_type == LinkLayerType::Ether;
        let up = header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        let mut link = Self {
            name: Arc::default(),
            up,
            mac: None,
            mtu: 0,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name.into(),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(mac) if ethernet => link.mac = mac.try_into().ok(),
                _ => {}
            }
        }
        link
    }
}

/// A neighbour table's entry; `None` for entries that tell nothing, such as those of bridges.
pub(super) fn neighbour(message: NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(v4.into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(v6.into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.try_into().ok(),
            _ => {}
        }
    }
    let neighbour = match (message.header.state, mac) {
        (NeighbourState::Incomplete, _) => Neighbour::Asked,
        (NeighbourState::Failed, _) => Neighbour::Failed,
        (NeighbourState::Stale, Some(mac)) => Neighbour::Stale(mac),
        (
            NeighbourState::Reachable
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp,
            Some(mac),
        ) => Neighbour::Known(mac),
        _ => return None,
    };
    Some((
        NeighbourKey {
            ifindex: message.header.ifindex,
            address: address?,
        },
        neighbour,
    ))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);
    const V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

    fn route(kind: RouteType, attributes: &[RouteAttribute]) -> Result<Route, Unresolved> {
        let mut message = RouteMessage::default();
        message.header.kind = kind;
        message.attributes = attributes.to_vec();
        message.try_into()
    }

    #[test]
    fn gateways_of_all_kinds_are_read() {
        for (attribute, gateway) in [
            (RouteAttribute::Gateway(RouteAddress::Inet(V4)), Some(V4.into())),
            (RouteAttribute::Gateway(RouteAddress::Inet6(V6)), Some(V6.into())),
            (RouteAttribute::Via(RouteVia::Inet6(V6)), Some(V6.into())),
            (RouteAttribute::Priority(1), None),
        ] {
            let found = route(RouteType::Unicast, &[RouteAttribute::Oif(3), attribute]);
            assert_eq!(
                found,
                Ok(Route {
                    ifindex: 3,
                    gateway,
                    source: None,
                    mtu: None
                })
            );
        }
    }

    #[test]
    fn a_route_may_have_a_source_and_an_mtu() {
        let source = RouteAttribute::PrefSource(RouteAddress::Inet(V4));
        for (metric, mtu) in [(1300, Some(1300)), (0, None)] {
            let metrics = RouteAttribute::Metrics(vec![RouteMetric::Window(1), RouteMetric::Mtu(metric)]);
            let found = route(
                RouteType::Unicast,
                &[RouteAttribute::Oif(3), source.clone(), metrics],
            );
            assert_eq!(
                found,
                Ok(Route {
                    ifindex: 3,
                    gateway: None,
                    source: Some(V4.into()),
                    mtu
                })
            );
        }
    }

    #[test]
    fn only_routes_to_other_hosts_pass() {
        for (kind, reason) in [
            (RouteType::Local, Unresolved::Local),
            (RouteType::Anycast, Unresolved::Local),
            (RouteType::BlackHole, Unresolved::Refused("blackhole")),
            (RouteType::Throw, Unresolved::NoRoute),
        ] {
            assert_eq!(route(kind, &[RouteAttribute::Oif(3)]), Err(reason));
        }
        assert_eq!(route(RouteType::Unicast, &[]), Err(Unresolved::NoRoute));
    }

    #[test]
    fn a_link_needs_carrier_and_an_ethernet_address() {
        let both = LinkFlags::Up | LinkFlags::LowerUp;
        for (flags, kind, up, mac) in [
            (both, LinkLayerType::Ether, true, Some(MAC)),
            (LinkFlags::Up, LinkLayerType::Ether, false, Some(MAC)),
            (LinkFlags::LowerUp, LinkLayerType::Ether, false, Some(MAC)),
            (both, LinkLayerType::Loopback, true, None),
        ] {
            let mut message = LinkMessage::default();
            message.header.flags = flags;
            message.header.link_layer_type = kind;
            let name = LinkAttribute::IfName("eth0".to_owned());
            message.attributes = vec![
                name,
                LinkAttribute::Mtu(1500),
                LinkAttribute::Address(MAC.to_vec()),
            ];
            assert_eq!(
                Link::from(message),
                Link {
                    name: "eth0".into(),
                    up,
                    mac,
                    mtu: 1500
                }
            );
        }
    }

    #[test]
    fn every_state_of_a_neighbour_is_told() {
        for (state, mac, expected) in [
            (NeighbourState::Reachable, Some(MAC), Some(Neighbour::Known(MAC))),
            (NeighbourState::Delay, Some(MAC), Some(Neighbour::Known(MAC))),
            (NeighbourState::Probe, Some(MAC), Some(Neighbour::Known(MAC))),
            (NeighbourState::Permanent, Some(MAC), Some(Neighbour::Known(MAC))),
            (NeighbourState::Stale, Some(MAC), Some(Neighbour::Stale(MAC))),
            (NeighbourState::Incomplete, None, Some(Neighbour::Asked)),
            (NeighbourState::Failed, None, Some(Neighbour::Failed)),
            (NeighbourState::Noarp, None, None),
            (NeighbourState::None, None, None),
        ] {
            let mut message = NeighbourMessage::default();
            message.header.ifindex = 3;
            message.header.state = state;
            message
                .attributes
                .push(NeighbourAttribute::Destination(NeighbourAddress::Inet6(V6)));
            message
                .attributes
                .extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
            let key = NeighbourKey {
                ifindex: 3,
                address: V6.into(),
            };
            assert_eq!(
                neighbour(message),
                expected.map(|expected| (key, expected)),
                "{state:?}"
            );
        }
    }
}
