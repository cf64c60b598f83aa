//! TCP, UDP and IPv4 checksums.

use lb_common::{
    address::TCP,
    layout::KEEP_PARTIAL,
    wire::{ACK, SYN},
};

use super::{errors::set_mtu, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
};

rows! {
    udp_without_a_checksum_stays_without: v4;
    a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones: v4 v6;
    an_unfinished_udp_checksum_that_comes_to_zero_is_sent_as_all_ones: v4 v6;
    an_unfinished_checksum_is_finished_over_every_length: v4 v6;
    an_unfinished_checksum_is_finished_behind_ipv4_options: v4;
    an_unfinished_answer_is_finished: v4 v6;
    an_unfinished_checksum_is_left_so_where_the_kernel_knows_of_it: v4 v6;
    a_damaged_packet_stays_damaged: v4 v6;
    padding_behind_the_packet_is_neither_summed_nor_changed: v4 v6;
}

/// Lengths around the steps that bytes are summed in, and those that no step divides.
pub(super) const LENGTHS: [usize; 23] = [
    0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 511, 512, 513, 1000, 1023, 1460,
];

fn udp_without_a_checksum_stays_without(bench: &mut Bench<'_>) {
    let mut question = Frame::datagram(bench.family);
    question.check = Check::Absent;
    let left = bench.reaches_backend(&question);
    let mut answer = left.answer(0, b"an answer");
    answer.check = Check::Absent;
    bench.reaches_client(&answer, &question);
}

fn a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones(bench: &mut Bench<'_>) {
    comes_to_zero(bench, Check::Right);
}

fn an_unfinished_udp_checksum_that_comes_to_zero_is_sent_as_all_ones(bench: &mut Bench<'_>) {
    comes_to_zero(bench, Check::Partial);
}

/// Sends a datagram with the two bytes of data that make the checksum behind the translation 0.
fn comes_to_zero(bench: &mut Bench<'_>, check: Check) {
    let mut question = Frame::datagram(bench.family);
    question.check = check;
    question.payload = vec![0, 0];
    let left = bench.reaches_backend(&question).bytes();
    let field = question.transport_offset() + 6;
    // The checksum is what is missing from 0xffff: as data it leaves nothing missing.
    question.payload = left[field..field + 2].to_vec();
    let left = bench.reaches_backend(&question).bytes();
    assert_eq!(left[field..field + 2], [0xff, 0xff]);
}

fn an_unfinished_checksum_is_finished_over_every_length(bench: &mut Bench<'_>) {
    finished_over_every_length(bench, &[]);
}

fn an_unfinished_checksum_is_finished_behind_ipv4_options(bench: &mut Bench<'_>) {
    finished_over_every_length(bench, &[1; 4]);
    finished_over_every_length(bench, &[1; 40]);
}

fn finished_over_every_length(bench: &mut Bench<'_>, options: &[u8]) {
    for first in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        // Some are longer than what the way to a backend takes as a rule.
        set_mtu(bench, &first, 0);
        bench.reaches_backend(&first);
    }
    for length in LENGTHS {
        for frame in [
            Frame::to_service(bench.family, TCP),
            Frame::datagram(bench.family),
        ] {
            let mut frame = frame.with(ACK, &pattern(length));
            frame.options = options.to_vec();
            frame.check = Check::Partial;
            bench.reaches_backend(&frame);
        }
    }
}

fn an_unfinished_answer_is_finished(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.reaches_backend(&syn);
    for length in LENGTHS {
        let mut answer = left.answer(ACK, &pattern(length));
        answer.check = Check::Partial;
        bench.reaches_client(&answer, &syn);
    }
}

fn an_unfinished_checksum_is_left_so_where_the_kernel_knows_of_it(bench: &mut Bench<'_>) {
    bench.memory().settings.partial_checksums.store(KEEP_PARTIAL);
    let mut syn = Frame::syn(bench.family);
    syn.check = Check::Partial;
    let left = bench.reaches_backend(&syn);
    let mut answer = left.answer(SYN | ACK, b"");
    answer.check = Check::Partial;
    bench.reaches_client(&answer, &syn);
    let mut question = Frame::datagram(bench.family);
    question.check = Check::Partial;
    bench.reaches_backend(&question);
    bench.reaches_backend(&syn.with(ACK, b"finished ones are kept right"));
}

fn a_damaged_packet_stays_damaged(bench: &mut Bench<'_>) {
    for check in [
        Check::Off(1),
        Check::Off(0x0100),
        Check::Off(0xabcd),
        Check::Off(0xfffe),
    ] {
        let mut syn = Frame::syn(bench.family);
        syn.check = check;
        let left = bench.reaches_backend(&syn);
        let mut answer = left.answer(SYN | ACK, b"data");
        answer.check = check;
        bench.reaches_client(&answer, &syn);
        let mut question = Frame::datagram(bench.family);
        question.check = check;
        bench.reaches_backend(&question);
    }
}

fn padding_behind_the_packet_is_neither_summed_nor_changed(bench: &mut Bench<'_>) {
    bench.reaches_backend(&Frame::syn(bench.family));
    for check in [Check::Right, Check::Partial] {
        for length in [0, 1] {
            let mut frame = Frame::to_service(bench.family, TCP).with(ACK, &pattern(length));
            frame.check = check;
            frame.trailer = vec![0xee; 6];
            bench.reaches_backend(&frame);
        }
    }
}

/// So many bytes of data.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    // A period that no step of a sum has, so that no two steps look alike.
    (0..length)
        .map(|at| u8::try_from(at % 251).expect("below 251") ^ 0x5a)
        .collect()
}
