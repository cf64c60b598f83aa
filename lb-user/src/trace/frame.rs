//! A frame in words.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, LinkSlice, TcpSlice, TransportSlice};

/// What a frame says of itself, as far as there is enough of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Who it is from: address and port, or the first of these that there is.
    pub(super) from: String,
    /// Who it is to.
    pub(super) to: String,
    /// What kind of packet it is.
    pub(super) protocol: String,
    /// TCP's flags.
    pub(super) flags: Option<String>,
}

impl Frame {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Ok(sliced) = LaxSlicedPacket::from_ethernet(bytes) else {
            return Self {
                protocol: "unknown".to_owned(),
                ..Self::default()
            };
        };
        let (ports, flags) = transport(&sliced);
        match addresses(&sliced) {
            None => beyond_ip(&sliced),
            Some((src, dst, number)) => {
                let (from, to) = match ports {
                    Some((from, to)) => (
                        SocketAddr::new(src, from).to_string(),
                        SocketAddr::new(dst, to).to_string(),
                    ),
                    None => (src.to_string(), dst.to_string()),
                };
                Self {
                    from,
                    to,
                    protocol: word(number),
                    flags,
                }
            }
        }
    }
}

fn addresses(sliced: &LaxSlicedPacket<'_>) -> Option<(IpAddr, IpAddr, u8)> {
    match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(packet) => {
            let header = packet.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
                packet.payload_ip_number().0,
            ))
        }
        LaxNetSlice::Ipv6(packet) => {
            let header = packet.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
                packet.payload().ip_number.0,
            ))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

fn transport(sliced: &LaxSlicedPacket<'_>) -> (Option<(u16, u16)>, Option<String>) {
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let ports = (tcp.source_port(), tcp.destination_port());
            (Some(ports), Some(flags(tcp)))
        }
        Some(TransportSlice::Udp(udp)) => (Some((udp.source_port(), udp.destination_port())), None),
        Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_)) | None => {
            (None, None)
        }
    }
}

fn flags(tcp: &TcpSlice<'_>) -> String {
    let flags = [
        (tcp.syn(), "SYN"),
        (tcp.fin(), "FIN"),
        (tcp.rst(), "RST"),
        (tcp.psh(), "PSH"),
        (tcp.ack(), "ACK"),
        (tcp.urg(), "URG"),
    ];
    let set = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(",")
}

/// A frame without an IP header, by its MAC addresses.
fn beyond_ip(sliced: &LaxSlicedPacket<'_>) -> Frame {
    let protocol = match &sliced.net {
        Some(LaxNetSlice::Arp(_)) => "arp",
        _ => "not ip",
    };
    let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link else {
        return Frame {
            protocol: protocol.to_owned(),
            ..Frame::default()
        };
    };
    Frame {
        from: mac(ethernet.source()),
        to: mac(ethernet.destination()),
        protocol: protocol.to_owned(),
        flags: None,
    }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn word(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => format!("ip protocol {other}"),
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_segment_says_who_sent_what_even_where_its_end_is_missing() {
        let builder = PacketBuilder::ethernet2([2; 6], [3; 6])
            .ipv4([192, 0, 2, 7], [10, 0, 0, 100], 64)
            .tcp(40_000, 80, 1, 2)
            .syn()
            .ack(1);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[0; 1000]).expect("a frame");
        bytes.truncate(60);
        let frame = Frame::of(&bytes);
        assert_eq!(frame.from, "192.0.2.7:40000");
        assert_eq!(frame.to, "10.0.0.100:80");
        assert_eq!(frame.protocol, "tcp");
        assert_eq!(frame.flags.as_deref(), Some("SYN,ACK"));
    }

    #[test]
    fn what_has_no_ports_has_addresses() {
        let builder = PacketBuilder::ethernet2([2; 6], [3; 6])
            .ipv6([1; 16], [2; 16], 64)
            .icmpv6_echo_request(1, 2);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[]).expect("a frame");
        let frame = Frame::of(&bytes);
        assert_eq!(frame.protocol, "icmpv6");
        assert!(
            frame.from.starts_with("101:101:") && frame.flags.is_none(),
            "{frame:?}"
        );
        let short = Frame::of(&bytes[..5]);
        assert_eq!(short.protocol, "unknown");
        let lldp = [&[2; 6][..], &[3; 6], &[0x88, 0xcc, 1, 2]].concat();
        assert_eq!(Frame::of(&lldp).from, "03:03:03:03:03:03");
    }
}
