//! Services that refuse packets whose checksums are wrong.

use lb_common::{
    Reason,
    address::{TCP, UDP},
    layout::{COMPLETE_PARTIAL, KEEP_PARTIAL},
    manner::Manner,
    wire::{ACK, RST, SYN},
};

use super::{
    checksums::{LENGTHS, pattern},
    cookies,
    errors::set_mtu,
    fragments::fragments,
    headers::mend_ipv4,
    long_way::with_headers,
    rows, sources,
};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    tunnel::Tunnel,
    world::{self, BACK, FRONT, Family, PORT, SECOND_PORT},
};

rows! {
    what_arrives_as_it_was_sent_is_forwarded: v4 v6;
    ipv4_options_are_summed_with_their_header: v4;
    a_packet_with_any_of_its_bits_wrong_is_refused: v4 v6;
    an_ipv4_header_with_any_of_its_bits_wrong_is_refused: v4;
    a_datagram_without_a_checksum_is_refused_over_ipv6_alone: v4 v6;
    a_checksum_that_is_left_to_a_nic_counts_as_right: v4 v6;
    padding_behind_the_packet_is_not_summed: v4 v6;
    what_stands_behind_a_datagram_is_not_summed: v4 v6;
    packets_behind_tags_are_verified: v4 v6;
    packets_behind_extension_headers_are_verified: v6;
    fragments_are_not_verified: v4 v6;
    services_that_do_not_ask_take_damaged_packets: v4 v6;
    answers_are_not_verified: v4 v6;
    packets_are_verified_in_every_mode: v4 v6;
    a_damaged_segment_does_nothing_to_its_flow: v4 v6;
    a_source_is_charged_once_for_a_packet_and_not_for_a_damaged_one: v4 v6;
    a_connection_is_opened_by_a_cookie_that_arrived_as_it_was_sent: v4 v6;
}

/// The services of the family on one port refuse damaged packets.
fn asking(bench: &Bench<'_>) {
    for protocol in [TCP, UDP] {
        world::verify(&bench.memory(), bench.family.row(protocol, PORT), true);
    }
}

/// A packet of each protocol that opens a flow.
fn both(bench: &Bench<'_>) -> [Frame; 2] {
    [Frame::syn(bench.family), Frame::datagram(bench.family)]
}

fn damaged(frame: &Frame) -> Frame {
    Frame {
        check: Check::Off(1),
        ..frame.clone()
    }
}

fn is_refused(bench: &mut Bench<'_>, frame: &Frame) {
    bench.drops(frame, Reason::BadChecksum);
}

fn what_arrives_as_it_was_sent_is_forwarded(bench: &mut Bench<'_>) {
    asking(bench);
    for first in both(bench) {
        set_mtu(bench, &first, 0);
        bench.reaches_backend(&first);
        for length in LENGTHS.into_iter().chain([2000, 3001]) {
            bench.reaches_backend(&first.with(ACK, &pattern(length)));
        }
    }
    assert_eq!(bench.flows(), (2, 0));
}

fn ipv4_options_are_summed_with_their_header(bench: &mut Bench<'_>) {
    asking(bench);
    for words in 1..=10 {
        for mut frame in both(bench) {
            frame.options = (1..).take(4 * words).collect();
            bench.reaches_backend(&frame);
        }
    }
}

/// Expects a frame to be refused with each single bit of these bytes turned.
fn is_refused_with_bits_of(bench: &mut Bench<'_>, frame: &Frame, bytes: impl IntoIterator<Item = usize>) {
    for at in bytes {
        for bit in 0..8 {
            let mut turned = frame.bytes();
            turned[at] ^= 1 << bit;
            bench.drops_bytes(&turned, Reason::BadChecksum);
        }
    }
}

fn a_packet_with_any_of_its_bits_wrong_is_refused(bench: &mut Bench<'_>) {
    asking(bench);
    for first in both(bench) {
        let frame = first.with(SYN, b"of odd length");
        let transport = frame.transport_offset();
        // Where it goes to decides who is asked, and what says how long it is would contradict the rest.
        let length = if first.protocol == TCP { 12..13 } else { 4..6 };
        let bytes = (transport..frame.bytes().len())
            .filter(|at| !(2..4).contains(&(at - transport)) && !length.contains(&(at - transport)));
        // Of a flow that is to be opened, and of one that is known.
        is_refused_with_bits_of(bench, &frame, bytes.clone());
        bench.reaches_backend(&first);
        is_refused_with_bits_of(bench, &frame, bytes);
    }
    assert_eq!(bench.flows(), (2, 0));
}

fn an_ipv4_header_with_any_of_its_bits_wrong_is_refused(bench: &mut Bench<'_>) {
    asking(bench);
    for mut frame in both(bench) {
        frame.options = vec![1; 8];
        // Class, name, TTL, checksum, source and options.
        let bytes = [15..16, 18..20, 22..23, 24..30, 34..42];
        is_refused_with_bits_of(bench, &frame, bytes.into_iter().flatten());
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn a_datagram_without_a_checksum_is_refused_over_ipv6_alone(bench: &mut Bench<'_>) {
    asking(bench);
    let mut question = Frame::datagram(bench.family);
    question.check = Check::Absent;
    match bench.family {
        Family::V4 => {
            bench.reaches_backend(&question);
        }
        Family::V6 => is_refused(bench, &question),
    }
}

fn a_checksum_that_is_left_to_a_nic_counts_as_right(bench: &mut Bench<'_>) {
    asking(bench);
    for what in [COMPLETE_PARTIAL, KEEP_PARTIAL] {
        bench.memory().settings.partial_checksums.store(what);
        for mut frame in both(bench) {
            frame.check = Check::Partial;
            bench.reaches_backend(&frame);
        }
    }
}

fn padding_behind_the_packet_is_not_summed(bench: &mut Bench<'_>) {
    asking(bench);
    for length in [0, 1] {
        for frame in both(bench) {
            let mut frame = frame.with(SYN, &pattern(length));
            frame.trailer = vec![0xee; 6];
            bench.reaches_backend(&frame);
        }
    }
}

/// Options of UDP do (RFC 9868).
fn what_stands_behind_a_datagram_is_not_summed(bench: &mut Bench<'_>) {
    const OPTIONS: u8 = 5;

    asking(bench);
    let (at, known) = (
        if bench.family == Family::V4 { 17 } else { 19 },
        Frame::datagram(bench.family),
    );
    bench.reaches_backend(&known);
    for (frame, refused) in [
        (known.clone(), None),
        (damaged(&known), Some(Reason::BadChecksum)),
    ] {
        let mut bytes = frame.bytes();
        bytes.extend([0xee; OPTIONS as usize]);
        bytes[at] += OPTIONS;
        if bench.family == Family::V4 {
            mend_ipv4(&mut bytes);
        }
        assert_eq!(bench.send(&bytes, FRONT).reason, refused);
    }
}

fn packets_behind_tags_are_verified(bench: &mut Bench<'_>) {
    asking(bench);
    for frame in both(bench) {
        bench.reaches_backend(&frame);
        let tagged = |frame: &Frame| {
            let mut bytes = frame.bytes();
            bytes.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
            bytes
        };
        bench.passes_bytes(&tagged(&frame), Reason::Vlan);
        bench.drops_bytes(&tagged(&damaged(&frame)), Reason::BadChecksum);
    }
}

fn packets_behind_extension_headers_are_verified(bench: &mut Bench<'_>) {
    const HEADERS: [(u8, u8); 2] = [(0, 0), (60, 1)];

    asking(bench);
    for frame in both(bench) {
        let left = bench.reaches_backend(&frame);
        let [sent, expected, spoilt] =
            [&frame, &left, &damaged(&frame)].map(|frame| with_headers(&frame.bytes(), &HEADERS));
        bench.leaves_as((&sent, FRONT), (&expected, BACK));
        bench.drops_bytes(&spoilt, Reason::BadChecksum);
    }
}

fn fragments_are_not_verified(bench: &mut Bench<'_>) {
    asking(bench);
    for frame in both(bench) {
        let frame = damaged(&frame.with(SYN, &pattern(1000)));
        for piece in fragments(&frame, 1) {
            assert_eq!(bench.send(&piece, FRONT).reason, None);
        }
    }
}

fn services_that_do_not_ask_take_damaged_packets(bench: &mut Bench<'_>) {
    let row = bench.family.row(TCP, PORT);
    world::verify(&bench.memory(), row, true);
    let [syn, question] = both(bench);
    // On the same port, and on another one of the same address.
    bench.reaches_backend(&damaged(&question));
    bench.reaches_backend(&damaged(&syn.sent_to(SECOND_PORT)));
    is_refused(bench, &damaged(&syn));
    world::verify(&bench.memory(), row, false);
    bench.reaches_backend(&damaged(&syn));
}

fn answers_are_not_verified(bench: &mut Bench<'_>) {
    asking(bench);
    // Not even those that come to a port which a service has on another address.
    world::pool(&bench.memory(), PORT, 1);
    for question in both(bench) {
        let left = bench.reaches_backend(&question);
        bench.reaches_client(&damaged(&left.answer(SYN | ACK, b"an answer")), &question);
    }
}

fn packets_are_verified_in_every_mode(bench: &mut Bench<'_>) {
    type Arrives = fn(&mut Bench<'_>, &Frame);

    let neighbour: Arrives = |bench, frame| {
        world::manner(&bench.memory(), bench.family, Manner::DSR);
        bench.reaches_neighbour(frame);
    };
    let client_kept: Arrives = |bench, frame| {
        world::manner(&bench.memory(), bench.family, Manner::NAT);
        bench.reaches_backend(frame);
    };
    let within: Arrives = |bench, frame| {
        let (outer, gue) = (Family::V4, None);
        let tunnel = Tunnel { outer, gue };
        world::tunnel(&bench.memory(), bench.family, tunnel);
        bench.travels(frame, tunnel);
    };
    let here: Arrives = |bench, frame| {
        let row = bench.family.row(frame.protocol, PORT);
        world::local(&bench.memory(), row);
        bench.reaches_stack(frame);
    };
    for arrives in [neighbour, client_kept, within, here] {
        for frame in both(bench) {
            world::set_up(&bench.memory());
            asking(bench);
            arrives(bench, &frame);
            is_refused(bench, &damaged(&frame));
            is_refused(bench, &damaged(&frame.sent_from(40_001)));
        }
    }
}

fn a_damaged_segment_does_nothing_to_its_flow(bench: &mut Bench<'_>) {
    asking(bench);
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    is_refused(bench, &damaged(&syn.with(RST, b"")));
    bench.reaches_backend(&syn.with(ACK, b"it lives on"));
    assert_eq!(bench.flows(), (1, 0));
}

fn a_source_is_charged_once_for_a_packet_and_not_for_a_damaged_one(bench: &mut Bench<'_>) {
    asking(bench);
    let row = bench.family.row(UDP, PORT) as usize;
    bench.memory().services[row].packet_rate.store(2);
    sources::long_second(bench);
    let question = Frame::datagram(bench.family);
    bench.reaches_backend(&question);
    is_refused(bench, &damaged(&question));
    bench.reaches_backend(&question);
    bench.drops(&question, Reason::SourcePackets);
}

fn a_connection_is_opened_by_a_cookie_that_arrived_as_it_was_sent(bench: &mut Bench<'_>) {
    asking(bench);
    let syn = cookies::flooded(bench);
    is_refused(bench, &damaged(&syn));
    let cookie = cookies::cookie(bench, &syn);
    is_refused(bench, &damaged(&cookies::next(&syn, cookie, ACK, b"")));
    cookies::open(bench, &syn);
    assert_eq!(bench.flows(), (1, 0));
}
