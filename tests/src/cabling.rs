//! The veth pairs of a lab, and the `ip` commands that put them in place.

use std::iter::once;

use crate::{
    Family, Role, Wiring,
    topology::{HOST_INTERFACE, Place},
};

/// All veth pairs of a lab.
pub(crate) fn cables(wiring: Wiring, backends: u8) -> Vec<Cable> {
    let hosts = Wiring::hosts(backends).into_iter();
    match wiring {
        Wiring::TwoArmed => hosts
            .map(|host| cable_to_balancer(host, wiring.place(host)))
            .collect(),
        Wiring::OneArmed => once(Role::Balancer)
            .chain(hosts)
            .map(|host| cable_to_switch(host, wiring.place(host)))
            .collect(),
    }
}

/// A veth pair.
pub(crate) struct Cable(pub(crate) End, pub(crate) End);

/// One end of a veth pair, named after whoever is at the other end, or `eth0`.
pub(crate) struct End {
    pub(crate) role: Role,
    pub(crate) interface: String,
    mac: [u8; 6],
    /// What it is.
    kind: Kind,
}

enum Kind {
    /// A NIC with addresses.
    Nic(Place),
    /// A port of the bridge.
    Port,
}

fn cable_to_balancer(host: Role, place: Place) -> Cable {
    Cable(
        nic(Role::Balancer, host.to_string(), place.of_balancer()),
        nic(host, HOST_INTERFACE.to_owned(), place),
    )
}

fn cable_to_switch(host: Role, place: Place) -> Cable {
    let port = End {
        role: Role::Switch,
        interface: host.to_string(),
        mac: place.of_port().mac(),
        kind: Kind::Port,
    };
    Cable(port, nic(host, HOST_INTERFACE.to_owned(), place))
}

fn nic(role: Role, interface: String, place: Place) -> End {
    End {
        role,
        interface,
        mac: place.mac(),
        kind: Kind::Nic(place),
    }
}

impl End {
    /// Arguments that name this end in `ip link add`.
    pub(crate) fn link_arguments(&self, namespace: &str) -> String {
        let mac = self.mac.map(|byte| format!("{byte:02x}")).join(":");
        format!("name {} address {mac} netns {namespace}", self.interface)
    }

    /// Lines for `ip -batch` in the end's own namespace: it gets its addresses or joins the bridge, and goes up.
    pub(crate) fn up_lines(&self, mtu: u32) -> String {
        let interface = &self.interface;
        let belonging = match self.kind {
            Kind::Nic(place) => Family::ALL
                .map(|family| address_line(interface, place, family))
                .concat(),
            Kind::Port => format!("link set {interface} master {BRIDGE}\n"),
        };
        format!("link set {interface} mtu {mtu}\n{belonging}link set {interface} up\n")
    }
}

fn address_line(interface: &str, place: Place, family: Family) -> String {
    // No duplicate address detection: the address is usable at once.
    let flags = if family == Family::V6 { " nodad" } else { "" };
    format!("address add {} dev {interface}{flags}\n", place.prefix(family))
}

/// Lines for `ip -batch` in the namespace of `role` before the cables are plugged in.
pub(crate) fn base_lines(role: Role) -> String {
    let own = match role {
        Role::Balancer => format!(
            "address add {}/32 dev lo\naddress add {}/128 dev lo nodad\n",
            Family::V4.vip(),
            Family::V6.vip()
        ),
        // Without snooping a neighbour solicitation reaches everybody, whatever the bridge has learnt.
        Role::Switch => format!("link add {BRIDGE} type bridge mcast_snooping 0\nlink set {BRIDGE} up\n"),
        Role::Client | Role::Backend(_) => String::new(),
    };
    format!("link set lo up\n{own}")
}

const BRIDGE: &str = "br0";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_ends_share_a_mac() {
        for wiring in [Wiring::TwoArmed, Wiring::OneArmed] {
            let cables = cables(wiring, 3);
            let macs: BTreeSet<_> = cables.iter().flat_map(|Cable(a, b)| [&a.mac, &b.mac]).collect();
            assert_eq!(macs.len(), 2 * cables.len(), "{wiring:?}");
        }
    }
}
