//! Frames that are cut off or contradict themselves.

use lb_common::{Reason, wire::ACK};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, FRONT, Family, POOL},
};

rows! {
    a_frame_cut_off_anywhere_passes: v4 v6;
    a_frame_of_a_known_flow_cut_off_anywhere_passes: v4 v6;
    an_ip_header_of_another_version_passes: v4 v6;
    an_ipv4_header_shorter_than_it_may_be_passes: v4;
    an_ip_length_beyond_the_frame_passes: v4 v6;
    an_ip_length_that_leaves_no_room_for_the_header_passes: v4 v6;
    a_tcp_data_offset_that_cannot_be_passes: v4 v6;
    a_udp_length_that_cannot_be_passes: v4 v6;
    a_udp_length_that_leaves_some_of_the_packet_to_others_is_taken: v4 v6;
}

/// The least that the kernel's test run takes, an Ethernet header. [`crate::properties`] has what is shorter.
const LEAST: usize = 14;

/// Length of a UDP header.
const UDP_HEADER: usize = 8;

fn a_frame_cut_off_anywhere_passes(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        cut_off(bench, &frame);
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn a_frame_of_a_known_flow_cut_off_anywhere_passes(bench: &mut Bench<'_>) {
    let (syn, question) = (Frame::syn(bench.family), Frame::datagram(bench.family));
    bench.handshake(&syn);
    bench.reaches_backend(&question);
    cut_off(bench, &syn.with(ACK, b"some data"));
    cut_off(bench, &question);
}

fn cut_off(bench: &mut Bench<'_>, frame: &Frame) {
    let bytes = frame.bytes();
    for length in LEAST..bytes.len() {
        bench.passes_bytes(&bytes[..length], Reason::Malformed);
    }
}

fn an_ip_header_of_another_version_passes(bench: &mut Bench<'_>) {
    let frame = Frame::syn(bench.family);
    bench.reaches_backend(&frame);
    for version in (0..16).filter(|version| *version != frame.bytes()[14] >> 4) {
        changed(bench, &frame, 14, &[version << 4 | frame.bytes()[14] & 0x0f]);
    }
}

fn an_ipv4_header_shorter_than_it_may_be_passes(bench: &mut Bench<'_>) {
    let frame = Frame::syn(bench.family);
    bench.reaches_backend(&frame);
    for words in 0..5 {
        changed(bench, &frame, 14, &[0x40 | words]);
    }
    // And longer than the packet is.
    changed(bench, &frame, 14, &[0x4f]);
}

fn an_ip_length_beyond_the_frame_passes(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        bench.reaches_backend(&frame);
        let right = ip_length(&frame);
        for length in [right + 1, right + 100, u16::MAX] {
            changed(
                bench,
                &frame,
                ip_length_offset(bench.family),
                &length.to_be_bytes(),
            );
        }
    }
}

fn an_ip_length_that_leaves_no_room_for_the_header_passes(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        bench.reaches_backend(&frame);
        let header = if frame.protocol == lb_common::address::TCP {
            20
        } else {
            8
        };
        let least = header + if bench.family == Family::V4 { 20 } else { 0 };
        for length in 0..least {
            let length = u16::try_from(length).expect("a header's length");
            changed(
                bench,
                &frame,
                ip_length_offset(bench.family),
                &length.to_be_bytes(),
            );
        }
    }
}

fn a_tcp_data_offset_that_cannot_be_passes(bench: &mut Bench<'_>) {
    let frame = Frame::syn(bench.family);
    bench.reaches_backend(&frame);
    // Shorter than a header, and longer than the packet.
    for words in [0, 1, 4, 6, 15] {
        changed(bench, &frame, frame.transport_offset() + 12, &[words << 4]);
    }
}

fn a_udp_length_that_cannot_be_passes(bench: &mut Bench<'_>) {
    let known = Frame::datagram(bench.family);
    bench.reaches_backend(&known);
    for frame in [known.clone(), known.sent_from(40_001)] {
        let right = UDP_HEADER + frame.payload.len();
        let right = u16::try_from(right).expect("a packet's length");
        // Shorter than its own header, and longer than the packet is.
        for length in (0..8).chain([right + 1, right + 100, u16::MAX]) {
            changed(bench, &frame, frame.transport_offset() + 4, &length.to_be_bytes());
        }
    }
    assert_eq!(bench.flows(), (1, 0));
}

/// As options of UDP have it (RFC 9868), which are behind its data.
fn a_udp_length_that_leaves_some_of_the_packet_to_others_is_taken(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), POOL, 2);
    for port in [40_000, 40_001] {
        let frame = Frame::datagram(bench.family).sent_from(port);
        let mut bytes = frame.bytes();
        let field = frame.transport_offset() + 4;
        bytes[field..field + 2].copy_from_slice(&8_u16.to_be_bytes());
        let outcome = bench.send(&bytes, FRONT);
        assert_eq!((outcome.verdict, outcome.reason), ("redirect", None));
        assert_eq!(outcome.bytes[field..field + 2], [0, 8]);
    }
}

/// Expects a frame with some bytes replaced to pass as malformed.
fn changed(bench: &mut Bench<'_>, frame: &Frame, offset: usize, with: &[u8]) {
    let mut bytes = frame.bytes();
    bytes[offset..offset + with.len()].copy_from_slice(with);
    bench.passes_bytes(&bytes, Reason::Malformed);
}

/// Where the IP header has the packet's length.
fn ip_length_offset(family: Family) -> usize {
    if family == Family::V4 { 16 } else { 18 }
}

fn ip_length(frame: &Frame) -> u16 {
    let bytes = frame.bytes();
    let offset = if frame.to.is_ipv4() { 16 } else { 18 };
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}
