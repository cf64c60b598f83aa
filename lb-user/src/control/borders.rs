//! From networks to the borders that the packet path looks them up by: the addresses at which a list's answer changes.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::config::types::{Access, SourceRules};

/// Where IPv4 is among IPv6 addresses (RFC 4291 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

/// Bits of a prefix before those of a mapped IPv4 address.
const MAPPED_PREFIX: u8 = 96;

/// First address and length of a prefix: sorted, networks stand before those within them.
type Prefix = (u128, u8);

/// The addresses at which the answer of a list changes, sorted; below the first one, it lets everyone in. None: it lets
/// everyone in.
pub(super) fn of(rules: &SourceRules) -> Vec<u128> {
    let mut borders = Vec::new();
    let mut before = Access::Allow;
    for (address, access) in answers(rules) {
        if access != before {
            borders.push(address);
            before = access;
        }
    }
    borders
}

/// What holds from which address on, in order.
fn answers(rules: &SourceRules) -> Vec<(u128, Access)> {
    let mut answers = Answers {
        list: vec![(0, rules.otherwise)],
        outer: Vec::new(),
        otherwise: rules.otherwise,
    };
    for ((first, length), access) in prefixes(rules) {
        answers.leave_before(first);
        answers.set(first, access);
        answers.outer.push((last(first, length), access));
    }
    answers.leave_all();
    answers.list
}

/// All networks as of IPv6. IPv4 is in none of the IPv6 networks that its form is in: it has a network of its own.
fn prefixes(rules: &SourceRules) -> BTreeMap<Prefix, Access> {
    let mapped = [((MAPPED, MAPPED_PREFIX), rules.otherwise)];
    let networks = rules.networks.iter();
    let prefix = |(network, access): (&IpNet, &Access)| (prefix(*network), *access);
    mapped.into_iter().chain(networks.map(prefix)).collect()
}

fn prefix(network: IpNet) -> Prefix {
    match network.addr() {
        IpAddr::V4(address) => (
            MAPPED | u128::from(u32::from(address)),
            MAPPED_PREFIX + network.prefix_len(),
        ),
        IpAddr::V6(address) => (address.into(), network.prefix_len()),
    }
}

/// The last address of a prefix.
fn last(first: u128, length: u8) -> u128 {
    first | u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// Answers up to an address, and the networks that it is in.
struct Answers {
    list: Vec<(u128, Access)>,
    /// Last address and answer, each network within that before.
    outer: Vec<(u128, Access)>,
    otherwise: Access,
}

impl Answers {
    /// What holds from an address on.
    fn set(&mut self, from: u128, access: Access) {
        match self.list.last_mut() {
            Some(last) if last.0 == from => last.1 = access,
            _ => self.list.push((from, access)),
        }
    }

    /// Leaves the networks that end before an address.
    fn leave_before(&mut self, address: u128) {
        while let Some((last, _)) = self.outer.pop_if(|(last, _)| *last < address) {
            self.leave(last);
        }
    }

    fn leave_all(&mut self) {
        while let Some((last, _)) = self.outer.pop() {
            self.leave(last);
        }
    }

    /// Behind a network holds what holds around it.
    fn leave(&mut self, last: u128) {
        let around = self.outer.last().map_or(self.otherwise, |(_, access)| *access);
        if let Some(next) = last.checked_add(1) {
            self.set(next, around);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> SourceRules {
        let networks = |list: &[&str], access| -> Vec<(IpNet, Access)> {
            let network = |text: &&str| (text.parse().expect("a network"), access);
            list.iter().map(network).collect()
        };
        let allowed = networks(allow, Access::Allow);
        let denied = networks(deny, Access::Deny);
        SourceRules {
            networks: allowed.into_iter().chain(denied).collect(),
            otherwise: if allow.is_empty() {
                Access::Allow
            } else {
                Access::Deny
            },
        }
    }

    /// What the borders say of an address.
    fn by_borders(borders: &[u128], address: &str) -> Access {
        let (address, _) = prefix(address.parse::<IpAddr>().expect("an address").into());
        match borders.partition_point(|border| *border <= address) % 2 {
            0 => Access::Allow,
            _ => Access::Deny,
        }
    }

    /// What the longest prefix says.
    fn by_rules(rules: &SourceRules, address: &str) -> Access {
        let address: IpAddr = address.parse().expect("an address");
        let around = rules
            .networks
            .iter()
            .filter(|(network, _)| network.contains(&address));
        let longest = around.max_by_key(|(network, _)| network.prefix_len());
        longest.map_or(rules.otherwise, |(_, access)| *access)
    }

    const ADDRESSES: &[&str] = &[
        "0.0.0.0",
        "9.255.255.255",
        "10.0.0.0",
        "10.0.0.1",
        "10.0.255.255",
        "10.1.0.0",
        "10.1.2.2",
        "10.1.2.3",
        "10.1.2.4",
        "10.255.255.255",
        "11.0.0.0",
        "192.0.2.0",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff",
        "::fffe:ffff:ffff",
        "::1:0:0:0",
        "2001:db7:ffff::",
        "2001:db8::",
        "2001:db8::7",
        "2001:db8:0:1::",
        "2001:db8:ffff::",
        "2001:db9::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];

    #[test]
    fn the_longest_prefix_decides() {
        let lists: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&[], &["10.0.0.0/8"]),
            (&["10.0.0.0/8"], &[]),
            (&["10.1.0.0/16", "10.1.2.3/32"], &["10.0.0.0/8", "10.1.2.0/24"]),
            (
                &["10.0.0.0/8", "2001:db8::/32"],
                &["10.1.2.3/32", "2001:db8::7/128", "2001:db8:0:1::/64"],
            ),
            (&["::/0"], &[]),
            (&["0.0.0.0/0"], &["10.0.0.0/16"]),
            (&[], &["::/0"]),
            (&[], &["0.0.0.0/0", "255.255.255.255/32"]),
            (&[], &["::/0", "0.0.0.0/0"]),
            (&["::/64"], &["::/16", "10.0.0.0/15"]),
            (&["ffff::/16"], &["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]),
            (
                &["10.0.0.0/9", "10.128.0.0/9"],
                &["11.0.0.0/8", "10.1.2.3/32", "10.1.2.2/32"],
            ),
        ];
        for (allow, deny) in lists {
            let rules = rules(allow, deny);
            let borders = of(&rules);
            assert!(borders.is_sorted_by(|one, other| one < other), "{borders:x?}");
            for address in ADDRESSES {
                assert_eq!(
                    by_borders(&borders, address),
                    by_rules(&rules, address),
                    "{address}: allow {allow:?}, deny {deny:?}"
                );
            }
        }
    }

    #[test]
    fn neighbours_of_one_answer_are_one() {
        let halves = rules(&[], &["10.0.0.0/9", "10.128.0.0/9"]);
        assert_eq!(of(&halves), of(&rules(&[], &["10.0.0.0/8"])));
        assert_eq!(of(&rules(&[], &[])), []);
    }

    /// As many as a configuration may have, none of them next to another.
    #[test]
    fn a_hundred_thousand_networks_are_soon_laid_out() {
        let network = |number: u32| IpNet::from(IpAddr::from((number << 1).to_be_bytes()));
        let rules = SourceRules {
            networks: (0..100_000)
                .map(|number| (network(number), Access::Deny))
                .collect(),
            otherwise: Access::Allow,
        };
        let start = Instant::now();
        assert_eq!(of(&rules).len(), 200_000);
        println!("100,000 networks laid out in {:?}", start.elapsed());
    }
}
