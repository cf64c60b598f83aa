//! What is kept from the host's own stack, which gets a copy of every frame and would answer it too.
//!
//! A packet socket sees frames before the chain `ingress` of nftables (`__netif_receive_skb_core`, net/core/dev.c): what
//! is dropped there is ours alone. Each interface has a table of its own, which belongs to this process: the kernel
//! removes it when the process ends, in whatever way, and lets nobody else have one of that name. So nothing is ever
//! left behind, and two daemons never take the same packets.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use lb_common::address::{TCP, UDP};

use super::nft::{
    Field, Fields, NftError, Socket, Transaction, drop_packet, in_range, is_frame_of, is_in, is_not_in,
};
use crate::{config::types::Protocol, dataplane::AttachError};

/// The one chain of a table.
const CHAIN: &str = "ingress";

/// Packets that the host's own stack must not get: those to services, and backends' answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFromHost {
    /// Virtual addresses.
    pub services: BTreeSet<(Protocol, SocketAddr)>,
    /// Backends of full NAT, which answer to `sources` and `ports`.
    pub backends: BTreeSet<(Protocol, SocketAddr)>,
    /// Backends that answer to clients' own addresses by way of this host.
    pub routing_backends: BTreeSet<(Protocol, SocketAddr)>,
    /// This host's addresses towards backends. What comes to other ports there is for the host itself, such as answers
    /// to its health checks.
    pub sources: BTreeSet<IpAddr>,
    /// First and last port that answers go to.
    pub ports: (u16, u16),
}

/// A set of a table, and what rules compare with it.
struct Set {
    name: &'static str,
    fields: Fields,
}

const SERVICES: [Set; 2] = [Set::new("services4", true, TO), Set::new("services6", false, TO)];
const BACKENDS: [Set; 2] = [
    Set::new("backends4", true, FROM),
    Set::new("backends6", false, FROM),
];
const ROUTING_BACKENDS: [Set; 2] = [
    Set::new("routing4", true, FROM),
    Set::new("routing6", false, FROM),
];
const SOURCES: [Set; 2] = [
    Set::new("sources4", true, &[Field::Destination]),
    Set::new("sources6", false, &[Field::Destination]),
];

const TO: &[Field] = &[Field::Destination, Field::DestinationPort, Field::Protocol];
const FROM: &[Field] = &[Field::Source, Field::SourcePort, Field::Protocol];

impl Set {
    const fn new(name: &'static str, is_v4: bool, fields: &'static [Field]) -> Self {
        Self {
            name,
            fields: Fields { is_v4, fields },
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.fields.is_v4 == address.is_ipv4()
    }
}

/// Keeps packets from the host for as long as it lives.
#[derive(Debug)]
pub(super) struct Host {
    socket: Socket,
    tables: Vec<String>,
    kept: KeptFromHost,
}

/// Packets cannot be kept from the host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Another instance of Ballast has the interface.
    #[error(transparent)]
    Served(#[from] AttachError),
    /// Somebody else has a table of that name.
    #[error("the table `{0}` of nftables is somebody else's: `nft delete table netdev {0}` removes it")]
    Taken(String),
    /// The kernel does not take the rules.
    #[error(
        "cannot keep packets of services from this host's own stack: nftables says {0}; this needs CAP_NET_ADMIN and a \
         kernel with nf_tables for netdev"
    )]
    Refused(std::io::Error),
}

impl Host {
    /// Keeps packets that come in by these interfaces from the host, for the daemon whose control socket is at `owner`.
    pub(super) fn without(
        interfaces: &[String],
        kept: &KeptFromHost,
        owner: &Path,
    ) -> Result<Self, HostError> {
        let socket = Socket::open().map_err(HostError::Refused)?;
        let mut host = Self {
            socket,
            tables: Vec::new(),
            kept: KeptFromHost {
                ports: kept.ports,
                ..KeptFromHost::default()
            },
        };
        for interface in interfaces {
            let table = format!("ballast_{interface}");
            let mut transaction = Transaction::on(&table);
            make_table(&mut transaction, interface, kept.ports, &owner.to_string_lossy());
            host.socket.commit(transaction).map_err(|error| match error {
                NftError::Taken => host.served(interface, table.clone()),
                NftError::Io(error) => HostError::Refused(error),
            })?;
            host.tables.push(table);
        }
        host.keep(kept)?;
        Ok(host)
    }

    /// Keeps these from the host as well. What was kept before stays so: there may be flows yet.
    pub(super) fn keep(&mut self, kept: &KeptFromHost) -> Result<(), HostError> {
        let new = KeptFromHost {
            services: &kept.services - &self.kept.services,
            backends: &kept.backends - &self.kept.backends,
            routing_backends: &kept.routing_backends - &self.kept.routing_backends,
            sources: &kept.sources - &self.kept.sources,
            ports: kept.ports,
        };
        let elements = new.elements();
        if elements.is_empty() {
            return Ok(());
        }
        for table in &self.tables {
            let mut transaction = Transaction::on(table);
            for (set, values) in &elements {
                transaction.add_elements(set, values);
            }
            self.socket.commit(transaction).map_err(|error| match error {
                NftError::Taken => HostError::Taken(table.clone()),
                NftError::Io(error) => HostError::Refused(error),
            })?;
        }
        self.kept.services.extend(new.services);
        self.kept.backends.extend(new.backends);
        self.kept.routing_backends.extend(new.routing_backends);
        self.kept.sources.extend(new.sources);
        Ok(())
    }
}

impl Host {
    /// Who has the table of an interface.
    fn served(&self, interface: &str, table: String) -> HostError {
        match self.socket.comment(&table) {
            Some(owner) => HostError::Served(AttachError::Served {
                interface: interface.to_owned(),
                socket: owner.into(),
            }),
            None => HostError::Taken(table),
        }
    }
}

impl Drop for Host {
    /// Done here, and not left to the kernel, so that it is done when this returns.
    fn drop(&mut self) {
        for table in &self.tables {
            let mut transaction = Transaction::on(table);
            transaction.delete_table();
            if let Err(error) = self.socket.commit(transaction) {
                tracing::warn!(table, %error, "the kernel will remove this when the daemon has ended");
            }
        }
    }
}

impl KeptFromHost {
    /// By name of a set, what is to be in it.
    fn elements(&self) -> Vec<(&'static str, Vec<Vec<u8>>)> {
        let sockets = |set: &Set, sockets: &BTreeSet<(Protocol, SocketAddr)>| {
            let of_family = sockets.iter().filter(|(_, socket)| set.holds(socket.ip()));
            (set.name, of_family.map(|socket| socket_key(*socket)).collect())
        };
        let sources = |set: &Set| {
            let of_family = self.sources.iter().filter(|address| set.holds(**address));
            (set.name, of_family.map(|address| octets(*address)).collect())
        };
        let services = SERVICES.iter().map(|set| sockets(set, &self.services));
        let backends = BACKENDS.iter().map(|set| sockets(set, &self.backends));
        let routing = ROUTING_BACKENDS.iter();
        let routing = routing.map(|set| sockets(set, &self.routing_backends));
        let sources = SOURCES.iter().map(sources);
        let all = services.chain(backends).chain(routing).chain(sources);
        all.filter(|(_, values): &(_, Vec<_>)| !values.is_empty())
            .collect()
    }
}

/// Makes a table with empty sets, and the rules that go by them.
fn make_table(transaction: &mut Transaction, interface: &str, ports: (u16, u16), owner: &str) {
    transaction.new_table(owner);
    transaction.new_chain(CHAIN, interface);
    let sets = SERVICES.iter().chain(&BACKENDS).chain(&ROUTING_BACKENDS);
    for set in sets.chain(&SOURCES) {
        transaction.new_set(set.name, set.fields);
    }
    for services in &SERVICES {
        let Set { name, fields } = *services;
        let rule = [is_frame_of(fields.is_v4), is_in(name, fields), drop_packet()];
        transaction.new_rule(CHAIN, &rule);
    }
    for (sources, backends) in SOURCES.iter().zip(&BACKENDS) {
        let rule = [
            is_frame_of(sources.fields.is_v4),
            is_in(sources.name, sources.fields),
            is_in(backends.name, backends.fields),
            in_range(ports),
            drop_packet(),
        ];
        transaction.new_rule(CHAIN, &rule);
    }
    for (sources, backends) in SOURCES.iter().zip(&ROUTING_BACKENDS) {
        let rule = [
            is_frame_of(sources.fields.is_v4),
            is_in(backends.name, backends.fields),
            is_not_in(sources.name, sources.fields),
            drop_packet(),
        ];
        transaction.new_rule(CHAIN, &rule);
    }
}

/// Address, port and protocol, each as wide as registers are.
fn socket_key((protocol, socket): (Protocol, SocketAddr)) -> Vec<u8> {
    let number = match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    };
    let [high, low] = socket.port().to_be_bytes();
    let rest = [high, low, 0, 0, number, 0, 0, 0];
    octets(socket.ip()).into_iter().chain(rest).collect()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
