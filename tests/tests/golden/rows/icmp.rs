//! ICMP that comes here: errors about packets of flows, and pings.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    Reason,
    address::TCP,
    wire::{ACK, SYN},
};

use super::{headers::mend_ipv4, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, BACK, BACK_MAC, BACKEND_MAC, FRONT, Family},
};

rows! {
    errors_from_the_backends_side_reach_the_client: v4 v6;
    errors_from_the_clients_side_reach_the_backend: v4 v6;
    errors_that_quote_as_little_as_they_may_are_forwarded: v4 v6;
    an_error_about_a_datagram_without_a_checksum_is_forwarded: v4;
    errors_about_no_flow_pass: v4 v6;
    errors_to_another_than_who_sent_what_they_quote_pass: v4 v6;
    errors_that_are_cut_off_pass: v4 v6;
    a_ping_of_a_virtual_address_is_answered: v4 v6;
    a_ping_of_another_address_passes: v4 v6;
    a_ping_passes_where_none_are_answered: v4 v6;
    a_ping_with_options_passes: v4;
    no_more_pings_are_answered_than_allowed: v4 v6;
    messages_that_are_not_for_flows_pass: v4 v6;
}

/// Types and codes of errors, each with the last word of its header.
pub(crate) fn errors(family: Family) -> Vec<((u8, u8), [u8; 4])> {
    let mtu = [0, 0, 5, 0x78];
    match family {
        Family::V4 => {
            let unreachable = (0..=15).map(|code| ((3, code), if code == 4 { mtu } else { [0; 4] }));
            unreachable
                .chain([((11, 0), [0; 4]), ((11, 1), [0; 4]), ((12, 0), [20, 0, 0, 0])])
                .collect()
        }
        Family::V6 => {
            let unreachable = (0..=7).map(|code| ((1, code), [0; 4]));
            unreachable
                .chain([
                    ((2, 0), mtu),
                    ((3, 0), [0; 4]),
                    ((3, 1), [0; 4]),
                    ((4, 1), [0, 0, 0, 40]),
                ])
                .collect()
        }
    }
}

/// An error by a router on the way to the backend, quoting a packet that left for there.
fn from_behind(family: Family, left: &Frame) -> Frame {
    Frame {
        interface: BACK,
        from_mac: BACKEND_MAC,
        to_mac: BACK_MAC,
        from: SocketAddr::new(router(family), 0),
        to: left.from,
        ttl: 60,
        ..left.clone()
    }
}

fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => [172, 16, 3, 1].into(),
        Family::V6 => [0xfd77, 0, 0, 0, 0, 0, 0, 1].into(),
    }
}

fn first_packets(family: Family) -> [Frame; 2] {
    [
        Frame::syn(family).with(SYN, b"some data"),
        Frame::datagram(family),
    ]
}

/// What the error that quotes `left` is on its way to the client who sent it.
fn to_client(
    family: Family,
    sent: &Frame,
    left: &Frame,
    (kind, rest): ((u8, u8), [u8; 4]),
    length: usize,
) -> Vec<u8> {
    let known = Frame {
        ttl: left.ttl,
        ..sent.clone()
    };
    let error = Frame {
        interface: sent.interface,
        from_mac: sent.to_mac,
        to_mac: sent.from_mac,
        from: sent.to,
        to: sent.from,
        ..from_behind(family, left)
    };
    Frame { ttl: 59, ..error }.icmp(kind, rest, &known.quote(length))
}

fn errors_from_the_backends_side_reach_the_client(bench: &mut Bench<'_>) {
    let family = bench.family;
    for sent in first_packets(family) {
        let left = bench.reaches_backend(&sent);
        for (kind, rest) in errors(family) {
            let error = from_behind(family, &left).icmp(kind, rest, &left.quote(548));
            let expected = to_client(family, &sent, &left, (kind, rest), 548);
            bench.leaves_as((&error, BACK), (&expected, FRONT));
        }
    }
    assert_eq!(bench.flows(), (2, 0), "an error ends nothing");
}

fn errors_from_the_clients_side_reach_the_backend(bench: &mut Bench<'_>) {
    let family = bench.family;
    for sent in first_packets(family) {
        let left = bench.reaches_backend(&sent);
        let answer = left.answer(SYN | ACK, b"an answer");
        let reached = bench.reaches_client(&answer, &sent);
        for (kind, rest) in errors(family) {
            let error = Frame {
                from: SocketAddr::new(router(family), 0),
                ttl: 60,
                ..sent.clone()
            };
            let known = Frame {
                ttl: reached.ttl,
                ..answer.clone()
            };
            let expected = Frame {
                ttl: 59,
                ..left.clone()
            }
            .icmp(kind, rest, &known.quote(548));
            bench.leaves_as(
                (&error.icmp(kind, rest, &reached.quote(548)), FRONT),
                (&expected, BACK),
            );
        }
    }
}

fn errors_that_quote_as_little_as_they_may_are_forwarded(bench: &mut Bench<'_>) {
    let family = bench.family;
    let kind = errors(family)[0];
    for sent in first_packets(family) {
        let left = bench.reaches_backend(&sent);
        let header = sent.transport_offset() - 14;
        // A checksum of which only half is quoted cannot be mended.
        for length in (header + 8..header + 24).filter(|length| *length != header + 17) {
            let error = from_behind(family, &left).icmp(kind.0, kind.1, &left.quote(length));
            let expected = to_client(family, &sent, &left, kind, length);
            bench.leaves_as((&error, BACK), (&expected, FRONT));
        }
    }
}

fn an_error_about_a_datagram_without_a_checksum_is_forwarded(bench: &mut Bench<'_>) {
    let family = bench.family;
    let mut sent = Frame::datagram(family);
    sent.check = Check::Absent;
    let left = bench.reaches_backend(&sent);
    let kind = errors(family)[3];
    let error = from_behind(family, &left).icmp(kind.0, kind.1, &left.quote(548));
    let expected = to_client(family, &sent, &left, kind, 548);
    bench.leaves_as((&error, BACK), (&expected, FRONT));
}

fn errors_about_no_flow_pass(bench: &mut Bench<'_>) {
    let family = bench.family;
    for sent in first_packets(family) {
        let left = bench.reaches_backend(&sent);
        let mut other = left.clone();
        other.from.set_port(left.from.port() + 1);
        for (kind, rest) in errors(family) {
            let error = from_behind(family, &left).icmp(kind, rest, &other.quote(548));
            bench.passes_bytes(&error, Reason::NotTcpUdp);
        }
    }
}

fn errors_to_another_than_who_sent_what_they_quote_pass(bench: &mut Bench<'_>) {
    let family = bench.family;
    let left = bench.reaches_backend(&Frame::syn(family));
    let (kind, rest) = errors(family)[0];
    let mut error = from_behind(family, &left);
    error.to = family.virtual_address();
    bench.passes_bytes(&error.icmp(kind, rest, &left.quote(548)), Reason::NotTcpUdp);
}

fn errors_that_are_cut_off_pass(bench: &mut Bench<'_>) {
    let family = bench.family;
    let left = bench.reaches_backend(&Frame::syn(family));
    let (kind, rest) = errors(family)[0];
    let header = left.transport_offset() - 14;
    for length in 0..header + 8 {
        let error = from_behind(family, &left).icmp(kind, rest, &left.quote(length));
        bench.passes_bytes(&error, Reason::Malformed);
    }
    let error = from_behind(family, &left).icmp(kind, rest, &left.quote(548));
    for length in 14..error.len() {
        bench.passes_bytes(&error[..length], Reason::Malformed);
    }
}

/// Types of a ping and of its answer.
fn echo(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (8, 0),
        Family::V6 => (128, 129),
    }
}

fn ping(frame: &Frame, family: Family, data: &[u8]) -> Vec<u8> {
    frame.icmp((echo(family).0, 0), [0x12, 0x34, 0, 1], data)
}

fn a_ping_of_a_virtual_address_is_answered(bench: &mut Bench<'_>) {
    let family = bench.family;
    let frame = Frame::datagram(family);
    for length in [0, 1, 56, 1400] {
        let data = vec![0x3c; length];
        let answer = Frame {
            ttl: 64,
            ..frame.answer(0, b"")
        };
        let expected = answer.icmp((echo(family).1, 0), [0x12, 0x34, 0, 1], &data);
        for ttl in [1, 63, 255] {
            let frame = Frame { ttl, ..frame.clone() };
            bench.answers(&ping(&frame, family, &data), &expected, Reason::EchoAnswered);
        }
    }
}

fn a_ping_of_another_address_passes(bench: &mut Bench<'_>) {
    let mut frame = Frame::datagram(bench.family);
    frame.to.set_ip(bench.family.source());
    bench.passes_bytes(&ping(&frame, bench.family, b"ping"), Reason::NotTcpUdp);
}

fn a_ping_passes_where_none_are_answered(bench: &mut Bench<'_>) {
    bench.memory().settings.echo.store(0);
    let frame = Frame::datagram(bench.family);
    bench.passes_bytes(&ping(&frame, bench.family, b"ping"), Reason::NotTcpUdp);
}

fn a_ping_with_options_passes(bench: &mut Bench<'_>) {
    let mut frame = Frame::datagram(bench.family);
    frame.options = vec![1; 4];
    bench.passes_bytes(&ping(&frame, bench.family, b"ping"), Reason::NotTcpUdp);
    frame.options.clear();
    let mut fragment = ping(&frame, bench.family, b"ping");
    fragment[20..22].copy_from_slice(&[0x20, 0]);
    mend_ipv4(&mut fragment);
    bench.passes_bytes(&fragment, Reason::NotTcpUdp);
}

fn no_more_pings_are_answered_than_allowed(bench: &mut Bench<'_>) {
    let frame = ping(&Frame::datagram(bench.family), bench.family, b"ping");
    bench.memory().settings.second.store(u32::MAX);
    world::answered(&bench.memory(), 1000);
    bench.drops_bytes(&frame, Reason::EchoLimited);
}

fn messages_that_are_not_for_flows_pass(bench: &mut Bench<'_>) {
    let family = bench.family;
    let frame = Frame::to_service(family, TCP);
    let types: &[u8] = match family {
        // Echo reply, source quench, redirect, router discovery, timestamp.
        Family::V4 => &[0, 4, 5, 9, 10, 13, 14],
        // Echo reply, multicast listeners, neighbour discovery.
        Family::V6 => &[129, 130, 131, 132, 133, 134, 135, 136, 137, 143],
    };
    for kind in types {
        bench.passes_bytes(&frame.icmp((*kind, 0), [0; 4], &[0; 40]), Reason::NotTcpUdp);
    }
}
