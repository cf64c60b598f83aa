//! Next hops: the interface and the hardware addresses by which packets reach each backend.
//!
//! The packet path never looks into the kernel's routing tables. The daemon does, over rtnetlink, whenever a
//! route, link, address or neighbour changes, and [`Resolver`] hands out the result. Where the kernel does not
//! know a neighbour's hardware address, or has not confirmed it lately, it is told to ask for it: forwarded
//! packets bypass its stack, so nothing else would make it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use tokio::sync::watch;

mod netlink;
mod resolve;
mod tables;
#[cfg(test)]
mod tests;
mod watcher;

pub use netlink::Error;

/// What is known about every destination.
pub type NextHops = BTreeMap<IpAddr, Result<NextHop, Unresolved>>;

/// How packets get to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// Number of the interface to send by.
    pub ifindex: u32,
    /// Its name.
    pub interface: Arc<str>,
    /// The address this host sends from towards the destination.
    pub source: IpAddr,
    /// Hardware address of the interface.
    pub own_mac: [u8; 6],
    /// Hardware address of the destination, or of the gateway on the way to it.
    pub peer_mac: [u8; 6],
    /// Longest IP packet in bytes that the interface and the route take.
    pub mtu: u32,
    /// The router that the MAC address is of; none: the destination is on the interface's own network.
    pub gateway: Option<IpAddr>,
}

/// Why packets cannot get to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unresolved {
    /// The routing tables have nothing for it.
    #[error("no route")]
    NoRoute,
    /// The routing tables refuse it.
    #[error("the route says {0}")]
    Refused(&'static str),
    /// It is an address of this host: packets need no next hop, but only this host's own stack.
    #[error("the address belongs to this host")]
    Local,
    /// It is an address of this host, whose answers nothing would translate.
    #[error("the address belongs to this host, and what it sends cannot be translated: {reason}")]
    Unanswered {
        /// Why not.
        reason: String,
    },
    /// It is an address of this host that packets from elsewhere are not delivered to.
    #[error(
        "this host takes packets from outside to its loopback addresses for forged: give the backend another \
         address of this host"
    )]
    Loopback,
    /// The interface is administratively down, has no carrier, or has just gone.
    #[error("{interface} is down")]
    LinkDown {
        /// The interface's name, or its number when it has gone.
        interface: String,
    },
    /// The interface has no Ethernet header that could be written.
    #[error("{interface} is not an Ethernet interface")]
    NotEthernet {
        /// The interface's name.
        interface: String,
    },
    /// This host has no address to send from.
    #[error("{interface} has no address to send from")]
    NoSource {
        /// The interface's name.
        interface: String,
    },
    /// The neighbour's hardware address is being asked for.
    #[error("waiting for {neighbour} to answer on {interface}")]
    Waiting {
        /// The destination or its gateway.
        neighbour: IpAddr,
        /// The interface's name.
        interface: String,
    },
    /// The neighbour was asked for its hardware address in vain; it is asked again every second.
    #[error("{neighbour} does not answer on {interface}")]
    NoAnswer {
        /// The destination or its gateway.
        neighbour: IpAddr,
        /// The interface's name.
        interface: String,
    },
}

/// Resolves next hops and keeps them fresh for as long as it lives.
#[derive(Debug)]
pub struct Resolver {
    destinations: watch::Sender<BTreeSet<IpAddr>>,
    next_hops: watch::Receiver<NextHops>,
}

impl Resolver {
    /// Starts resolving, in the calling thread's network namespace.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(destinations: BTreeSet<IpAddr>) -> Result<Self, Error> {
        let (destinations, wanted) = watch::channel(destinations);
        let (publish, next_hops) = watch::channel(NextHops::new());
        tokio::spawn(watcher::run(netlink::Netlink::open()?, wanted, publish));
        Ok(Self {
            destinations,
            next_hops,
        })
    }

    /// Replaces the destinations.
    pub fn set_destinations(&self, destinations: BTreeSet<IpAddr>) {
        self.destinations.send_if_modified(|current| {
            let changed = *current != destinations;
            *current = destinations;
            changed
        });
    }

    /// What is known, and news of it: notified only when something differs. A destination is missing until it
    /// was looked up for the first time, some milliseconds after it was set.
    #[must_use]
    pub fn next_hops(&self) -> watch::Receiver<NextHops> {
        self.next_hops.clone()
    }
}
