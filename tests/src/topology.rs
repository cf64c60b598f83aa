//! How the lab is cabled: who has which interfaces, addresses and routes. Pure description; `Lab` applies it.
//!
//! ```text
//! two-armed:  client ──10.1.0.0/24── balancer ──10.1.1.0/24── be1      one-armed:  all five on 10.1.0.0/24,
//!                                             ──10.1.2.0/24── be2                  one bridge between them
//!                                             ──10.1.3.0/24── be3
//! ```
//! IPv6 likewise in `fd00:1:0:<link>::/64`. The virtual addresses are on the balancer's `lo`; everybody's default
//! route leads to the balancer. Addresses and MACs are fixed, so that a capture reads the same every time.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The virtual address of this family.
    #[must_use]
    pub fn vip(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 0, 0, 100).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100).into(),
        }
    }

    /// A host's own address, to itself.
    pub(crate) fn localhost(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    fn address(self, Place { link, host }: Place) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 1, link, host).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 1, 0, link.into(), 0, 0, 0, host.into()).into(),
        }
    }
}

/// A machine of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Where requests come from.
    Client,
    /// Where Ballast runs.
    Balancer,
    /// A server, counted from 1.
    Backend(u8),
    /// The bridge of the one-armed lab.
    Switch,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Balancer => f.write_str("balancer"),
            Self::Backend(number) => write!(f, "be{number}"),
            Self::Switch => f.write_str("switch"),
        }
    }
}

/// Which cables there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// The balancer has a NIC for the client and one for each backend: packets leave by another one than they
    /// came in by.
    TwoArmed,
    /// The balancer has one NIC: packets leave by the one they came in by.
    OneArmed,
}

impl Wiring {
    /// Roles of the lab, each a namespace.
    #[must_use]
    pub fn roles(self, backends: u8) -> Vec<Role> {
        let mut roles = vec![Role::Client, Role::Balancer];
        roles.extend((1..=backends).map(Role::Backend));
        if self == Self::OneArmed {
            roles.push(Role::Switch);
        }
        roles
    }

    /// Address of the client or of a backend.
    #[must_use]
    pub fn address(self, role: Role, family: Family) -> IpAddr {
        family.address(self.place(role))
    }

    /// The balancer's address on the link of the client or of a backend.
    #[must_use]
    pub fn balancer_address(self, role: Role, family: Family) -> IpAddr {
        family.address(self.place(role).of_balancer())
    }

    /// The balancer's interfaces, all of which carry service traffic.
    #[must_use]
    pub fn balancer_interfaces(self, backends: u8) -> Vec<String> {
        match self {
            Self::TwoArmed => Self::hosts(backends).iter().map(Role::to_string).collect(),
            Self::OneArmed => vec![HOST_INTERFACE.to_owned()],
        }
    }

    /// The far end of the balancer's cable towards the client: who gets the frames that Ballast sends back by the
    /// way they came.
    pub(crate) fn facing_balancer(self) -> (Role, String) {
        match self {
            Self::TwoArmed => (Role::Client, HOST_INTERFACE.to_owned()),
            Self::OneArmed => (Role::Switch, Role::Balancer.to_string()),
        }
    }

    /// Client and backends: everybody whose packets Ballast forwards.
    pub(crate) fn hosts(backends: u8) -> Vec<Role> {
        [Role::Client]
            .into_iter()
            .chain((1..=backends).map(Role::Backend))
            .collect()
    }

    /// Where `role`'s packets go when they are not for its own subnet: the balancer's address on its link.
    pub(crate) fn gateway(self, role: Role, family: Family) -> Option<IpAddr> {
        let is_host = matches!(role, Role::Client | Role::Backend(_));
        is_host.then(|| self.balancer_address(role, family))
    }

    pub(crate) fn place(self, role: Role) -> Place {
        let (link, host) = match (self, role) {
            (_, Role::Balancer | Role::Switch) => (0, BALANCER_HOST),
            (_, Role::Client) => (0, 2),
            (Self::TwoArmed, Role::Backend(number)) => (number, 2),
            (Self::OneArmed, Role::Backend(number)) => (0, 10 + number),
        };
        Place { link, host }
    }
}

/// The only interface of everybody who has one link.
pub const HOST_INTERFACE: &str = "eth0";

/// A host's position: which link, and which host on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    link: u8,
    host: u8,
}

impl Place {
    /// The balancer's place on the same link.
    pub(crate) fn of_balancer(self) -> Self {
        Self {
            host: BALANCER_HOST,
            ..self
        }
    }

    /// The place of the bridge's port on the way to this one: no host is there, so its MAC is free.
    pub(crate) fn of_port(self) -> Self {
        Self {
            link: u8::MAX,
            ..self
        }
    }

    /// Address and prefix length, as `ip` takes them.
    pub(crate) fn prefix(self, family: Family) -> String {
        let length = match family {
            Family::V4 => 24,
            Family::V6 => 64,
        };
        format!("{}/{length}", family.address(self))
    }

    /// A MAC address of its own.
    pub(crate) fn mac(self) -> [u8; 6] {
        [0x02, 0xba, 0x11, 0xa5, self.link, self.host]
    }
}

/// Host part of the balancer's address on each link.
const BALANCER_HOST: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_arms_have_a_link_for_each_host() {
        let wiring = Wiring::TwoArmed;
        assert_eq!(wiring.balancer_interfaces(3), ["client", "be1", "be2", "be3"]);
        assert_eq!(
            wiring.address(Role::Backend(2), Family::V4),
            IpAddr::from([10, 1, 2, 2])
        );
        assert_eq!(
            wiring.gateway(Role::Backend(2), Family::V4),
            Some(IpAddr::from([10, 1, 2, 1]))
        );
    }

    #[test]
    fn one_arm_has_everybody_on_one_link() {
        let wiring = Wiring::OneArmed;
        assert_eq!(wiring.balancer_interfaces(3), ["eth0"]);
        assert_eq!(
            wiring.address(Role::Backend(2), Family::V4),
            IpAddr::from([10, 1, 0, 12])
        );
        assert_eq!(
            wiring.gateway(Role::Client, Family::V4),
            Some(IpAddr::from([10, 1, 0, 1]))
        );
    }
}
