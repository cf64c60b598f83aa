//! IPv6 extension headers and 802.1Q tags between the Ethernet header and the ports.

use lb_common::{
    Reason,
    wire::{ACK, SYN},
};

use super::{fragments::fragments, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, BACK, BACKEND_MAC, FRONT},
};

rows! {
    extension_headers_are_walked_over: v6;
    six_extension_headers_are_walked_over_and_seven_are_not: v6;
    extension_headers_of_256_bytes_are_walked_over_and_longer_ones_are_not: v6;
    a_routing_header_with_places_to_go_to_passes: v6;
    authentication_headers_pass: v6;
    extension_headers_cut_off_anywhere_pass: v6;
    an_unfinished_checksum_behind_extension_headers_is_finished: v6;
    fragments_behind_extension_headers_follow_the_first: v6;
    a_flow_on_a_trunk_keeps_its_tags: v4 v6;
    three_tags_pass: v4 v6;
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const OPTIONS: u8 = 60;

/// A frame's bytes with extension headers, given by kind and words of eight bytes beyond the first.
pub(crate) fn with_headers(bytes: &[u8], headers: &[(u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (kind, words) in headers.iter().rev() {
        let next = std::mem::replace(&mut bytes[20], *kind);
        let mut header = vec![0; 8 * (usize::from(*words) + 1)];
        (header[0], header[1]) = (next, *words);
        let length = u16::from_be_bytes([bytes[18], bytes[19]]) + u16::try_from(header.len()).expect("short");
        bytes[18..20].copy_from_slice(&length.to_be_bytes());
        bytes.splice(54..54, header);
    }
    bytes
}

fn both(bench: &mut Bench<'_>) -> [(Frame, Frame); 2] {
    [
        Frame::syn(bench.family).with(SYN, b"data"),
        Frame::datagram(bench.family),
    ]
    .map(|frame| {
        let left = bench.reaches_backend(&frame);
        (frame, left)
    })
}

fn is_walked_over(bench: &mut Bench<'_>, headers: &[(u8, u8)]) {
    for (frame, left) in both(bench) {
        let [sent, expected] = [frame, left].map(|frame| with_headers(&frame.bytes(), headers));
        bench.leaves_as((&sent, FRONT), (&expected, BACK));
    }
}

fn passes(bench: &mut Bench<'_>, headers: &[(u8, u8)]) {
    for (frame, _) in both(bench) {
        bench.passes_bytes(&with_headers(&frame.bytes(), headers), Reason::ExtensionHeader);
    }
}

fn extension_headers_are_walked_over(bench: &mut Bench<'_>) {
    // The first of its flow, too.
    let syn = with_headers(&Frame::syn(bench.family).bytes(), &[(HOP_BY_HOP, 1)]);
    assert_eq!(bench.send(&syn, FRONT).reason, None);
    for kind in [HOP_BY_HOP, ROUTING, OPTIONS] {
        for words in 0..4 {
            is_walked_over(bench, &[(kind, words)]);
        }
    }
    is_walked_over(
        bench,
        &[(HOP_BY_HOP, 0), (OPTIONS, 2), (ROUTING, 1), (OPTIONS, 0)],
    );
}

fn six_extension_headers_are_walked_over_and_seven_are_not(bench: &mut Bench<'_>) {
    is_walked_over(bench, &[(OPTIONS, 0); 5]);
    passes(bench, &[(OPTIONS, 0); 7]);
}

fn extension_headers_of_256_bytes_are_walked_over_and_longer_ones_are_not(bench: &mut Bench<'_>) {
    is_walked_over(bench, &[(OPTIONS, 31)]);
    passes(bench, &[(OPTIONS, 32)]);
    passes(bench, &[(HOP_BY_HOP, 15), (OPTIONS, 16)]);
}

fn a_routing_header_with_places_to_go_to_passes(bench: &mut Bench<'_>) {
    for (frame, _) in both(bench) {
        let mut bytes = with_headers(&frame.bytes(), &[(ROUTING, 2)]);
        bytes[54 + 3] = 1;
        bench.passes_bytes(&bytes, Reason::ExtensionHeader);
    }
}

fn authentication_headers_pass(bench: &mut Bench<'_>) {
    passes(bench, &[(AUTHENTICATION, 2)]);
    passes(bench, &[(HOP_BY_HOP, 0), (AUTHENTICATION, 2)]);
}

fn extension_headers_cut_off_anywhere_pass(bench: &mut Bench<'_>) {
    for (frame, _) in both(bench) {
        let bytes = with_headers(&frame.bytes(), &[(HOP_BY_HOP, 1), (OPTIONS, 0)]);
        for length in 14..bytes.len() {
            bench.passes_bytes(&bytes[..length], Reason::Malformed);
        }
    }
}

fn an_unfinished_checksum_behind_extension_headers_is_finished(bench: &mut Bench<'_>) {
    for (mut frame, left) in both(bench) {
        frame.check = Check::Partial;
        let [sent, expected] = [frame, left].map(|frame| with_headers(&frame.bytes(), &[(OPTIONS, 1)]));
        bench.leaves_as((&sent, FRONT), (&expected, BACK));
    }
}

fn fragments_behind_extension_headers_follow_the_first(bench: &mut Bench<'_>) {
    for (frame, left) in both(bench) {
        let [sent, expected] = [frame, left].map(|mut frame| {
            frame.payload = vec![0x77; 1000];
            fragments(&frame, 7)
        });
        for (sent, expected) in sent.iter().zip(&expected) {
            let [sent, expected] = [sent, expected].map(|bytes| with_headers(bytes, &[(HOP_BY_HOP, 0)]));
            bench.leaves_as((&sent, FRONT), (&expected, BACK));
        }
    }
}

pub(crate) fn tagged(bytes: &[u8], tag: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.splice(12..12, tag.iter().copied());
    bytes
}

fn a_flow_on_a_trunk_keeps_its_tags(bench: &mut Bench<'_>) {
    let tags: [&[u8]; 3] = [
        &[0x81, 0x00, 0x60, 0x05],
        &[0x88, 0xa8, 0x00, 0x05],
        &[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06],
    ];
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::next_hop(&bench.memory(), row, BACKEND_MAC, FRONT);
    // The first packet of its flow is tagged.
    let first = bench.send(&tagged(&syn.bytes(), tags[0]), FRONT);
    assert_eq!((first.verdict, first.reason), ("tx", None));
    let left = bench.reaches_backend(&syn);
    assert_eq!(first.bytes, tagged(&left.bytes(), tags[0]));
    let mut answer = left.answer(SYN | ACK, b"");
    answer.interface = FRONT;
    let reached = bench.reaches_client(&answer, &syn);
    for tag in tags {
        bench.leaves_as(
            (&tagged(&syn.bytes(), tag), FRONT),
            (&tagged(&left.bytes(), tag), FRONT),
        );
        let (answer, reached) = (tagged(&answer.bytes(), tag), tagged(&reached.bytes(), tag));
        bench.leaves_as((&answer, FRONT), (&reached, FRONT));
    }
    assert_eq!(bench.flows(), (1, 0));
}

fn three_tags_pass(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    bench.passes_bytes(&tagged(&syn.bytes(), &[0x81, 0, 0, 5].repeat(3)), Reason::Vlan);
}
