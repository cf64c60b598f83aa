//! The network that frames for the kernel's test run come from and go to. Nothing of it exists but in the tables.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use etherparse::PacketBuilder;
use lb_common::memory::Memory;
use lb_user::{
    config::{self, Config, types::Mode},
    control::{self, Control},
    dataplane::Capacity,
    health::{Event, Orders, Outcome, Report, State},
    next_hop::{NextHop, NextHops},
};

use super::machine;
use crate::Family;

/// The interface that the test run's frames come in by: loopback of the calling namespace.
pub const INTERFACE: u32 = 1;

const BACKENDS: u16 = 16;
/// With 16 backends enough for four million flows without a crowd in the port pool.
const SOURCES: u16 = 128;
const SERVICE_PORT: u16 = 80;
const BACKEND_PORT: u16 = 8080;
const CLIENT_PORT: u16 = 20_000;

const CLIENT_MAC: [u8; 6] = [0x02, 0xba, 0x11, 0, 0, 2];
const OWN_MAC: [u8; 6] = [0x02, 0xba, 0x11, 0, 0, 1];
const BACKEND_MAC: [u8; 6] = [0x02, 0xba, 0x11, 0, 0, 3];

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a TCP segment is; a datagram is a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client's SYN.
    Open,
    /// A backend's SYN-ACK.
    Answer,
    /// Data of an open connection.
    Data,
    /// The end of a connection: of no known flow, it is dropped and not answered.
    Reset,
}

/// Addresses and ports of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Sender.
    pub from: (IpAddr, u16),
    /// Receiver.
    pub to: (IpAddr, u16),
}

impl Ends {
    /// From a client to the service. Clients are numbered as the bench programs number them: sixteen ports each.
    #[must_use]
    pub fn of_client(number: u32, family: Family) -> Self {
        let port = CLIENT_PORT + u16::try_from(number % 16).unwrap_or_default();
        Self {
            from: (client(number / 16, family), port),
            to: (vip(family), SERVICE_PORT),
        }
    }

    /// The other way around.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }

    /// To another port.
    #[must_use]
    pub fn to_port(self, port: u16) -> Self {
        Self {
            to: (self.to.0, port),
            ..self
        }
    }

    /// What a frame without options or tags carries.
    #[must_use]
    pub fn of_frame(frame: &[u8]) -> Option<Self> {
        let headers = etherparse::PacketHeaders::from_ethernet_slice(frame).ok()?;
        let (src, dst) = match headers.net? {
            etherparse::NetHeaders::Ipv4(ip, _) => (IpAddr::from(ip.source), IpAddr::from(ip.destination)),
            etherparse::NetHeaders::Ipv6(ip, _) => (IpAddr::from(ip.source), IpAddr::from(ip.destination)),
            etherparse::NetHeaders::Arp(_) => return None,
        };
        let (src_port, dst_port) = match headers.transport? {
            etherparse::TransportHeader::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
            etherparse::TransportHeader::Udp(udp) => (udp.source_port, udp.destination_port),
            _ => return None,
        };
        Some(Self {
            from: (src, src_port),
            to: (dst, dst_port),
        })
    }

    /// A frame between these ends with `payload` bytes of data, and right checksums.
    ///
    /// # Panics
    ///
    /// If the two ends are of different families.
    #[must_use]
    pub fn frame(self, protocol: Protocol, kind: Kind, payload: usize) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2(CLIENT_MAC, OWN_MAC);
        let ip = match (self.from.0, self.to.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
            (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
            _ => panic!("{self:?} are of different families"),
        };
        let payload = vec![0x5a; payload];
        let mut frame = Vec::with_capacity(128);
        let written = match protocol {
            Protocol::Udp => ip.udp(self.from.1, self.to.1).write(&mut frame, &payload),
            Protocol::Tcp => {
                let tcp = ip.tcp(self.from.1, self.to.1, 1_000, 65_535);
                match kind {
                    Kind::Open => tcp.syn(),
                    Kind::Answer => tcp.syn().ack(1_001),
                    Kind::Data => tcp.ack(2_000),
                    Kind::Reset => tcp.rst(),
                }
                .write(&mut frame, &payload)
            }
        };
        written.expect("a vector takes what is written, and so short a payload fits");
        frame
    }
}

/// Where TCP's checksum is in an IPv4 frame without options.
const CHECKSUM: std::ops::Range<usize> = 50..52;

impl Ends {
    /// A TCP frame over IPv4 whose checksum field has the sum of the pseudo-header only, as a sender leaves it
    /// that has a NIC to finish it.
    #[must_use]
    pub fn unfinished_frame(self, payload: usize) -> Vec<u8> {
        let mut frame = self.frame(Protocol::Tcp, Kind::Data, payload);
        // Addresses, then protocol and length (RFC 9293 3.1).
        let length = u16::try_from(frame.len() - 34).unwrap_or_default().to_be_bytes();
        let pseudo_header = [&frame[26..34], &[0, 6], &length].concat();
        let words = pseudo_header.as_chunks::<2>().0.iter();
        let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        // What folding the carries in comes to.
        let folded = u16::try_from(sum % 0xffff).unwrap_or_default();
        frame[CHECKSUM].copy_from_slice(&folded.to_be_bytes());
        frame
    }
}

/// Client address `number`, counted from 10.0.0.0 or `fd00:10::`.
fn client(number: u32, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0x0a00_0000 + number).into(),
        Family::V6 => Ipv6Addr::from_bits((0xfd00_0010 << 96) + u128::from(number)).into(),
    }
}

fn vip(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, 1).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1).into(),
    }
}

/// Host `number` of the backends' network.
fn backend(number: u16, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0xac10_0000 + u32::from(number)).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, number).into(),
    }
}

/// A configuration with a service of each protocol and family and room for `flows`, whose backends are all up and
/// reachable through interface `towards`.
pub struct Scene {
    config: Config,
    towards: u32,
}

impl Scene {
    /// Lays the scene out; nothing is stored yet.
    pub fn new(families: &[Family], flows: u32, towards: u32) -> Result<Self> {
        Self::in_mode(Mode::FullNat, families, flows, towards)
    }

    /// Lays it out with all services in one mode.
    pub fn in_mode(mode: Mode, families: &[Family], flows: u32, towards: u32) -> Result<Self> {
        let config = config::parse(&text(mode, families, flows)?, Path::new("bench.toml"))?;
        Ok(Self { config, towards })
    }

    /// How large its tables have to be, with room for one CPU's counters more than there are CPUs, as in the daemon.
    pub fn capacity(&self) -> Result<Capacity> {
        let workers = u32::try_from(machine::processors()? + 1)?;
        Ok(control::capacity(&self.config, workers))
    }

    /// Fills empty tables; what rules over them.
    pub fn install(self, memory: &Memory<'_>) -> Result<Control> {
        let mut control = Control::new(self.config, memory)?;
        control.install(memory)?;
        for target in control.targets() {
            control.checked(memory, [is_up(target.id)]);
        }
        let next_hops = next_hops(control::destinations(control.config()), self.towards);
        control.resolved(memory, &next_hops);
        Ok(control)
    }
}

/// A good check of a backend.
#[must_use]
pub fn is_up(id: u32) -> Event {
    Event {
        id,
        report: Report {
            outcome: Outcome::Ok,
            detail: "".into(),
            warning: None,
            orders: Orders::default(),
            duration: Duration::ZERO,
            at: Instant::now(),
        },
        state: State::Up,
        changed: true,
    }
}

/// All destinations are neighbours on `interface`.
#[must_use]
pub fn next_hops(destinations: BTreeSet<IpAddr>, interface: u32) -> NextHops {
    let neighbour = |address: IpAddr| NextHop {
        ifindex: interface,
        interface: "lo".into(),
        source: address,
        own_mac: OWN_MAC,
        peer_mac: BACKEND_MAC,
        mtu: 1500,
        gateway: None,
    };
    destinations
        .into_iter()
        .map(|address| (address, Ok(neighbour(address))))
        .collect()
}

fn text(mode: Mode, families: &[Family], flows: u32) -> Result<String> {
    let backend_port = if mode.translates_ports() {
        BACKEND_PORT
    } else {
        SERVICE_PORT
    };
    let sources = families.iter().flat_map(|family| {
        (0..SOURCES).map(|number| format!("{:?}", backend(1024 + number, *family).to_string()))
    });
    let sources: Vec<_> = sources.collect();
    let mut text = format!(
        "[global]\ninterfaces = [\"lo\"]\nsnat_ports = \"1024-65535\"\nmax_flows = {flows}\nsnat_addresses = [{}]\n",
        sources.join(", ")
    );
    for family in families {
        for protocol in ["tcp", "udp"] {
            let bind = std::net::SocketAddr::new(vip(*family), SERVICE_PORT);
            writeln!(
                text,
                "[[service]]\nname = \"{protocol}-{family:?}\"\nprotocol = \"{protocol}\"\nbind = [\"{bind}\"]\nmode = {:?}",
                mode.as_str()
            )?;
            if protocol == "tcp" && mode == Mode::FullNat {
                // Flows are opened here by the thousand, and none of them is a flood. Nobody answers a SYN, and after a stall
                // of the machine the next one is not to be moved to another backend.
                text.push_str("syn_cookies = \"never\"\nretries = 0\n");
            }
            for number in 1..=BACKENDS {
                let address = std::net::SocketAddr::new(backend(number, *family), backend_port);
                writeln!(
                    text,
                    "[[service.backend]]\nname = \"be{number}\"\naddress = \"{address}\""
                )?;
            }
        }
    }
    Ok(text)
}
