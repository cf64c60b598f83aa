//! IP and Ethernet headers: what is carried over, and what is not for us.

use std::net::Ipv6Addr;

use etherparse::PacketBuilder;
use lb_common::{
    Reason,
    address::{TCP, UDP},
    wire::SYN,
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{CLIENT_MAC, FRONT_MAC, Family},
};

rows! {
    ipv4_options_of_every_length_are_kept: v4;
    an_ip_header_keeps_what_is_not_translated: v4 v6;
    datagrams_of_any_length_are_forwarded: v4 v6;
    tags_pass_where_the_backend_is_not_behind_them: v4 v6;
    arp_passes: v4;
    neighbour_discovery_passes: v6;
    igmp_passes: v4;
    vrrp_passes: v4 v6;
    frames_of_no_ip_pass: v4;
}

fn ipv4_options_of_every_length_are_kept(bench: &mut Bench<'_>) {
    for words in 1..=10 {
        for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
            let mut frame = frame.with(SYN, b"data");
            // No-operations, and an end of the list (RFC 791 3.1).
            frame.options = vec![1; 4 * words];
            frame.options[4 * words - 1] = 0;
            bench.reaches_backend(&frame);
        }
    }
    assert_eq!(bench.flows(), (2, 0));
}

fn datagrams_of_any_length_are_forwarded(bench: &mut Bench<'_>) {
    // Those below 12 bytes make frames that could hold no TCP header, and are not looked at where others are.
    for length in (0..40).rev().chain(0..40) {
        let frame = Frame::datagram(bench.family).with(0, &vec![0x5a; length]);
        let left = bench.reaches_backend(&frame);
        bench.reaches_client(&left.answer(0, &vec![0xa5; length]), &frame);
    }
    assert_eq!(bench.flows(), (1, 0));
}

fn an_ip_header_keeps_what_is_not_translated(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.reaches_backend(&syn).bytes();
    let mut frame = syn.bytes();
    let mut expected = left;
    for bytes in [&mut frame, &mut expected] {
        match bench.family {
            Family::V4 => {
                // Type of service, identification, and Don't Fragment with the reserved bit (RFC 791 3.1).
                (bytes[15], bytes[18], bytes[19], bytes[20]) = (0xb9, 0x12, 0x34, 0xc0);
                mend_ipv4(bytes);
            }
            // Traffic class and flow label (RFC 8200 3).
            Family::V6 => (bytes[14], bytes[15], bytes[16], bytes[17]) = (0x6b, 0x9f, 0xed, 0xcb),
        }
    }
    let outcome = bench.send(&frame, syn.interface);
    assert_eq!(outcome.bytes, expected);
}

fn tags_pass_where_the_backend_is_not_behind_them(bench: &mut Bench<'_>) {
    let untagged = Frame::syn(bench.family);
    bench.reaches_backend(&untagged);
    let tags: [&[u8]; 3] = [
        &[0x81, 0x00, 0x00, 0x05],
        &[0x88, 0xa8, 0x00, 0x05],
        &[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06],
    ];
    for tag in tags {
        let mut bytes = untagged.bytes();
        bytes.splice(12..12, tag.iter().copied());
        bench.passes_bytes(&bytes, Reason::Vlan);
    }
}

fn arp_passes(bench: &mut Bench<'_>) {
    let request = [
        // Ethernet, IPv4, lengths, request (RFC 826).
        &[0, 1, 8, 0, 6, 4, 0, 1][..],
        &CLIENT_MAC,
        &[192, 0, 2, 7],
        &[0; 6],
        &[10, 0, 0, 100],
    ];
    bench.passes_bytes(&ethernet([8, 6], &request.concat()), Reason::NotIp);
}

fn neighbour_discovery_passes(bench: &mut Bench<'_>) {
    for kind in 133..=137 {
        bench.passes_bytes(&icmpv6(kind), Reason::NotTcpUdp);
    }
}

fn igmp_passes(bench: &mut Bench<'_>) {
    bench.passes_bytes(&of_protocol(bench, 2), Reason::NotTcpUdp);
}

fn vrrp_passes(bench: &mut Bench<'_>) {
    bench.passes_bytes(&of_protocol(bench, 112), Reason::NotTcpUdp);
}

fn frames_of_no_ip_pass(bench: &mut Bench<'_>) {
    // LLDP, an IEEE 802.3 length with LLC behind it, MPLS, and a header with nothing behind.
    for ether_type in [[0x88, 0xcc], [0x00, 0x26], [0x88, 0x47]] {
        bench.passes_bytes(&ethernet(ether_type, &[0x42; 46]), Reason::NotIp);
        bench.passes_bytes(&ethernet(ether_type, &[]), Reason::NotIp);
    }
}

fn ethernet(ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&FRONT_MAC[..], &CLIENT_MAC, &ether_type, payload].concat()
}

fn icmpv6(kind: u8) -> Vec<u8> {
    let octets = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, FRONT_MAC)
        .ipv6(octets("2001:db8::7"), octets("fd00::100"), 255)
        .icmpv6_raw(kind, 0, [0; 4]);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[0; 16]).expect("a vector takes all");
    bytes
}

/// A packet to the virtual address of another protocol than TCP and UDP.
fn of_protocol(bench: &Bench<'_>, protocol: u8) -> Vec<u8> {
    assert!(![TCP, UDP].contains(&protocol));
    let mut bytes = Frame::syn(bench.family).bytes();
    match bench.family {
        Family::V4 => {
            bytes[23] = protocol;
            mend_ipv4(&mut bytes);
        }
        Family::V6 => bytes[20] = protocol,
    }
    bytes
}

/// Puts the right checksum into an IPv4 header that was changed.
pub(crate) fn mend_ipv4(bytes: &mut [u8]) {
    let (header, _) = etherparse::Ipv4Header::from_slice(&bytes[14..]).expect("an IPv4 header");
    bytes[24..26].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
}
