//! The kernel's routes, links and neighbours, as far as next hops need them.

use std::{collections::HashMap, net::IpAddr};

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
    pub(super) name: String,
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
            name: String::new(),
            up,
            mac: None,
            mtu: 0,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
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
