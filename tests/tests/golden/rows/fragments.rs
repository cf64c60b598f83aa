//! Fragments: the first one's ports lead all of them.

use lb_common::{
    Reason,
    address::{TCP, UDP},
    wire::SYN,
};

use super::{headers::mend_ipv4, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{BACK, FRONT, Family},
};

rows! {
    fragments_follow_the_first: v4 v6;
    fragments_of_answers_follow_the_first: v4 v6;
    fragments_of_known_flows_follow_the_first: v4 v6;
    fragments_of_two_datagrams_do_not_mix: v4 v6;
    a_fragment_before_the_first_is_dropped: v4 v6;
    a_fragment_to_another_address_passes: v4 v6;
    fragments_to_a_port_of_no_service_pass: v4 v6;
    a_first_fragment_is_never_finished: v4 v6;
    a_fragment_of_one_piece_is_forwarded: v6;
    a_fragments_ttl_at_its_end_is_reported_for_the_first_only: v4 v6;
    fragments_of_other_protocols_pass: v4 v6;
    cut_off_fragments_pass: v4 v6;
}

const NAME: u32 = 0x0001_2345;

/// A packet in fragments of 400 bytes at most, the last of another length.
pub(crate) fn fragments(frame: &Frame, name: u32) -> Vec<Vec<u8>> {
    const SIZE: usize = 400;

    let bytes = frame.bytes();
    let (headers, transport) = bytes.split_at(frame.transport_offset());
    let pieces = transport.chunks(SIZE).enumerate();
    let count = transport.len().div_ceil(SIZE);
    pieces
        .map(|(number, piece)| {
            let offset = u16::try_from(number * SIZE / 8).expect("a packet's length");
            fragment(headers, piece, name, (offset, number + 1 < count))
        })
        .collect()
}

fn fragment(headers: &[u8], piece: &[u8], name: u32, (offset, more): (u16, bool)) -> Vec<u8> {
    let mut headers = headers.to_vec();
    let length = u16::try_from(piece.len()).expect("a packet's length");
    if headers[14] >> 4 == 4 {
        let total = length + u16::try_from(headers.len() - 14).expect("a header's length");
        headers[16..18].copy_from_slice(&total.to_be_bytes());
        headers[18..20].copy_from_slice(&name.to_be_bytes()[2..]);
        headers[20..22].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
        mend_ipv4(&mut headers);
    } else {
        headers[18..20].copy_from_slice(&(length + 8).to_be_bytes());
        let next = std::mem::replace(&mut headers[20], 44);
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        headers.extend([next, 0, high, low]);
        headers.extend(name.to_be_bytes());
    }
    [&headers, piece].concat()
}

fn long_packets(family: Family) -> [Frame; 2] {
    let data: Vec<u8> = (0..2111_u32).map(|i| (i % 251) as u8).collect();
    [TCP, UDP].map(|protocol| Frame::to_service(family, protocol).with(SYN, &data))
}

/// Expects each fragment of a packet to leave as that of another one.
fn leave_as(bench: &mut Bench<'_>, (sent, from): (&Frame, u32), (expected, by): (&Frame, u32)) {
    for (sent, expected) in fragments(sent, NAME).iter().zip(&fragments(expected, NAME)) {
        bench.leaves_as((sent, from), (expected, by));
    }
}

/// What a packet leaves as, found with a short one of the same flow.
fn translated(bench: &mut Bench<'_>, frame: &Frame) -> Frame {
    let left = bench.reaches_backend(&frame.with(SYN, b"short"));
    Frame {
        payload: frame.payload.clone(),
        ..left
    }
}

fn fragments_follow_the_first(bench: &mut Bench<'_>) {
    for frame in long_packets(bench.family) {
        let first = &fragments(&frame, NAME)[0];
        let outcome = bench.send(first, FRONT);
        assert_eq!(outcome.reason, None, "it opens a flow");
        let expected = translated(bench, &frame);
        leave_as(bench, (&frame, FRONT), (&expected, BACK));
    }
    assert_eq!(bench.flows(), (2, 0));
}

fn fragments_of_known_flows_follow_the_first(bench: &mut Bench<'_>) {
    for frame in long_packets(bench.family) {
        let expected = translated(bench, &frame);
        leave_as(bench, (&frame, FRONT), (&expected, BACK));
        // Later ones in any order.
        let (sent, left) = (fragments(&frame, NAME), fragments(&expected, NAME));
        for number in [3, 5, 1, 4, 2] {
            bench.leaves_as((&sent[number], FRONT), (&left[number], BACK));
        }
    }
}

fn fragments_of_answers_follow_the_first(bench: &mut Bench<'_>) {
    for frame in long_packets(bench.family) {
        let left = bench.reaches_backend(&frame.with(SYN, b"question"));
        let short = left.answer(SYN, b"short");
        let reached = bench.reaches_client(&short, &frame);
        let [answer, expected] = [short, reached].map(|short| Frame {
            payload: frame.payload.clone(),
            ..short
        });
        leave_as(bench, (&answer, BACK), (&expected, FRONT));
    }
}

fn fragments_of_two_datagrams_do_not_mix(bench: &mut Bench<'_>) {
    let [_, one] = long_packets(bench.family);
    let other = Frame::syn(bench.family).with(SYN, &one.payload).sent_to(81);
    let to = [translated(bench, &one), translated(bench, &other)];
    let sent = [fragments(&one, 1), fragments(&other, 2)];
    let left = [fragments(&to[0], 1), fragments(&to[1], 2)];
    for number in 0..sent[0].len().min(sent[1].len()) {
        for which in [0, 1] {
            bench.leaves_as((&sent[which][number], FRONT), (&left[which][number], BACK));
        }
    }
}

fn a_fragment_before_the_first_is_dropped(bench: &mut Bench<'_>) {
    for frame in long_packets(bench.family) {
        bench.reaches_backend(&frame.with(SYN, b"short"));
        let pieces = fragments(&frame, NAME);
        bench.drops_bytes(&pieces[1], Reason::FragmentUnknown);
        bench.send(&pieces[0], FRONT);
        // Another datagram's.
        bench.drops_bytes(&fragments(&frame, NAME + 1)[1], Reason::FragmentUnknown);
    }
}

fn a_fragment_to_another_address_passes(bench: &mut Bench<'_>) {
    for mut frame in long_packets(bench.family) {
        frame.to.set_ip(bench.family.source());
        bench.passes_bytes(&fragments(&frame, NAME)[1], Reason::Fragment);
    }
}

fn fragments_to_a_port_of_no_service_pass(bench: &mut Bench<'_>) {
    for frame in long_packets(bench.family) {
        for piece in fragments(&frame.sent_to(9999), NAME) {
            bench.passes_bytes(&piece, Reason::NotForService);
        }
    }
}

fn a_first_fragment_is_never_finished(bench: &mut Bench<'_>) {
    let [_, mut frame] = long_packets(bench.family);
    let mut expected = translated(bench, &frame);
    // The value of a sum that was left unfinished, which a whole packet's is taken for.
    frame.check = Check::Partial;
    let short = {
        // What the field holds has to go with the fragment's length, not the packet's.
        let mut piece = fragments(&frame, NAME).swap_remove(0);
        let field = piece.len() - 400 + 6;
        let mut first = frame.clone();
        first.payload.truncate(392);
        let whole = first.bytes();
        let at = first.transport_offset() + 6;
        piece[field..field + 2].copy_from_slice(&whole[at..at + 2]);
        piece
    };
    expected.check = Check::Right;
    let outcome = bench.send(&short, FRONT);
    assert_eq!((outcome.verdict, outcome.reason), ("redirect", None));
    // By the difference, as any finished checksum: twice the same difference is what two packets with it show.
    let field = short.len() - 400 + 6;
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    frame.check = Check::Right;
    let (plain, left) = (&fragments(&frame, NAME)[0], &fragments(&expected, NAME)[0]);
    let difference = |before: u16, after: u16| (u32::from(after) + 0xffff - u32::from(before)) % 0xffff;
    assert_eq!(
        difference(word(&short, field), word(&outcome.bytes, field)),
        difference(word(plain, field), word(left, field)),
    );
}

fn a_fragment_of_one_piece_is_forwarded(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        let left = bench.reaches_backend(&frame);
        // Offset 0 and no more to come (RFC 6946).
        let (sent, expected) = (fragments(&frame, NAME), fragments(&left, NAME));
        bench.leaves_as((&sent[0], FRONT), (&expected[0], BACK));
    }
}

fn a_fragments_ttl_at_its_end_is_reported_for_the_first_only(bench: &mut Bench<'_>) {
    for mut frame in long_packets(bench.family) {
        bench.reaches_backend(&frame.with(SYN, b"short"));
        frame.ttl = 1;
        let pieces = fragments(&frame, NAME);
        let outcome = bench.send(&pieces[0], FRONT);
        assert_eq!(
            (outcome.verdict, outcome.reason),
            ("tx", Some(Reason::TtlExceeded))
        );
        bench.drops_bytes(&pieces[1], Reason::TtlExceeded);
    }
}

fn fragments_of_other_protocols_pass(bench: &mut Bench<'_>) {
    let [_, mut frame] = long_packets(bench.family);
    frame.protocol = if bench.family == Family::V4 { 1 } else { 58 };
    for piece in fragments(&frame, NAME) {
        bench.passes_bytes(&piece, Reason::NotTcpUdp);
    }
}

fn cut_off_fragments_pass(bench: &mut Bench<'_>) {
    let [frame, _] = long_packets(bench.family);
    bench.reaches_backend(&frame.with(SYN, b"short"));
    for piece in &fragments(&frame, NAME)[..2] {
        for length in 14..piece.len() {
            bench.passes_bytes(&piece[..length], Reason::Malformed);
        }
    }
}
