//! ICMP errors that are sent here: a packet's sender is told why it does not arrive.

use lb_common::{
    Reason,
    wire::{ACK, SYN},
};

use super::{headers::mend_ipv4, rows};
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, Family},
};

rows! {
    a_ttl_at_its_end_is_reported_and_one_above_is_forwarded: v4 v6;
    a_ttl_at_its_end_is_reported_by_a_known_flow: v4 v6;
    an_answer_with_a_ttl_at_its_end_is_reported_to_the_backend: v4 v6;
    a_packet_that_is_too_long_is_reported_with_the_mtu: v4 v6;
    a_packet_that_may_be_fragmented_is_not_reported: v4;
    no_more_errors_are_sent_than_allowed: v4 v6;
    nobody_is_told_of_a_packet_to_or_from_many: v4 v6;
}

/// What an error quotes at most.
const QUOTED: usize = 128;

fn time_exceeded(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (11, 0),
        Family::V6 => (3, 0),
    }
}

/// The error that answers a frame, from where that was sent to.
fn report(frame: &Frame, kind: (u8, u8), rest: [u8; 4]) -> Vec<u8> {
    let frame = Frame {
        trailer: Vec::new(),
        ..frame.clone()
    };
    let error = Frame {
        ttl: 64,
        flow_label: 0,
        ..frame.answer(0, b"")
    };
    error.icmp(kind, rest, &frame.quote(QUOTED))
}

/// Expects a frame to be answered with "time exceeded".
pub(super) fn is_reported(bench: &mut Bench<'_>, frame: &Frame) {
    let expected = report(frame, time_exceeded(bench.family), [0; 4]);
    bench.answers(&frame.bytes(), &expected, Reason::TtlExceeded);
}

/// Expects a frame to be answered with the length that it should not exceed.
pub(super) fn is_too_long(bench: &mut Bench<'_>, frame: &Frame, mtu: u32) {
    let kind = match bench.family {
        Family::V4 => (3, 4),
        Family::V6 => (2, 0),
    };
    let expected = report(frame, kind, mtu.to_be_bytes());
    bench.answers(&frame.bytes(), &expected, Reason::TooBig);
}

fn a_ttl_at_its_end_is_reported_and_one_above_is_forwarded(bench: &mut Bench<'_>) {
    for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        for ttl in [0, 1] {
            frame.ttl = ttl;
            is_reported(bench, &frame);
        }
        for ttl in [2, 255] {
            frame.ttl = ttl;
            bench.reaches_backend(&frame);
        }
    }
}

fn a_ttl_at_its_end_is_reported_by_a_known_flow(bench: &mut Bench<'_>) {
    let mut syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    syn.ttl = 1;
    // Of every length around what is quoted, odd ones too, and with what fills a frame up.
    for length in [0, 1, 2, 67, 68, 69, 87, 88, 89, 500, 1400] {
        let mut frame = syn.with(ACK, &vec![0xa7; length]);
        is_reported(bench, &frame);
        frame.trailer = vec![0x55; 6];
        is_reported(bench, &frame);
    }
}

fn an_answer_with_a_ttl_at_its_end_is_reported_to_the_backend(bench: &mut Bench<'_>) {
    let question = Frame::datagram(bench.family);
    let left = bench.reaches_backend(&question);
    let mut answer = left.answer(0, b"an answer");
    answer.ttl = 1;
    is_reported(bench, &answer);
    answer.ttl = 2;
    bench.reaches_client(&answer, &question);
}

fn a_packet_that_is_too_long_is_reported_with_the_mtu(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    let header = syn.bytes().len() - 14;
    set_mtu(bench, &syn, 1200);
    bench.reaches_backend(&syn.with(ACK, &vec![7; 1200 - header]));
    for too_much in [1, 2, 260] {
        let frame = syn.with(ACK, &vec![7; 1200 - header + too_much]);
        is_too_long(bench, &frame, 1200);
    }
}

fn a_packet_that_may_be_fragmented_is_not_reported(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    set_mtu(bench, &syn, 600);
    let mut bytes = syn.with(ACK, &[7; 700]).bytes();
    bytes[20..22].fill(0);
    mend_ipv4(&mut bytes);
    bench.drops_bytes(&bytes, Reason::TooBig);
}

fn no_more_errors_are_sent_than_allowed(bench: &mut Bench<'_>) {
    let mut frame = Frame::datagram(bench.family);
    frame.ttl = 1;
    is_reported(bench, &frame);
    bench.memory().settings.second.store(u32::MAX);
    world::answered(&bench.memory(), 1000);
    bench.drops(&frame, Reason::TtlExceeded);
}

fn nobody_is_told_of_a_packet_to_or_from_many(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), 20_000, 100);
    let mut frame = Frame::datagram(bench.family).with(SYN, b"data");
    frame.ttl = 1;
    let mut to_many = frame.clone();
    to_many.to_mac = [0xff; 6];
    let mut from_many = frame.clone();
    from_many.from.set_ip(match bench.family {
        Family::V4 => [224, 0, 0, 5].into(),
        Family::V6 => [0xff02, 0, 0, 0, 0, 0, 0, 5].into(),
    });
    for frame in [to_many, from_many] {
        bench.drops(&frame, Reason::TtlExceeded);
    }
}

pub(super) fn set_mtu(bench: &Bench<'_>, frame: &Frame, mtu: u32) {
    let row = bench.family.row(frame.protocol, frame.to.port());
    bench.memory().backends[row as usize].hops[0].mtu.store(mtu);
}
