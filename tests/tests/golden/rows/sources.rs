//! Who may open flows, and how much of a service one source may take.

use std::net::IpAddr;

use lb_common::{
    Reason,
    address::{TCP, UDP},
    memory::Memory,
    wire::{ACK, FIN, RST},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, Family, POOL, PORT, SECOND},
};

rows! {
    a_denied_source_opens_nothing: v4 v6;
    a_list_of_one_service_is_not_anothers: v4 v6;
    what_is_denied_everywhere_is_denied_to_each_service: v4 v6;
    flows_of_a_source_that_is_denied_later_stay: v4 v6;
    a_denied_source_is_told_nothing: v4 v6;
    a_source_has_so_many_flows_and_no_more: v4 v6;
    a_flow_that_ends_is_its_sources_no_more: v4 v6;
    a_flow_that_cannot_be_opened_counts_for_nobody: v4 v6;
    a_source_opens_so_many_flows_in_a_second: v4 v6;
    a_source_sends_so_many_packets_in_a_second: v4 v6;
    answers_are_not_counted_among_a_sources_packets: v4 v6;
    a_network_of_64_bits_is_one_source: v6;
    where_no_place_is_left_sources_go_uncounted: v4 v6;
}

/// A second that no row is longer than, in ticks: the kernel's clock goes on meanwhile.
const LONG_SECOND: u32 = 60 * SECOND;

pub(super) fn long_second(bench: &Bench<'_>) {
    bench.memory().settings.second.store(LONG_SECOND);
}

/// Makes what was counted a second older.
fn a_second_later(bench: &Bench<'_>) {
    for bucket in bench.memory().quotas {
        for window in bucket.flows.iter().chain(&bucket.packets) {
            window.store(window.load().wrapping_sub(u64::from(LONG_SECOND) << 32));
        }
    }
}

/// Rows of a list that denies one address.
fn deny(bench: &Bench<'_>, first: u32, address: IpAddr) -> u64 {
    world::list(&bench.memory(), first, address)
}

/// The client's service over TCP.
fn service(bench: &Bench<'_>) -> usize {
    bench.family.row(TCP, PORT) as usize
}

fn flow(bench: &Bench<'_>, number: u16) -> Frame {
    world::pool(&bench.memory(), POOL, 1000);
    Frame::syn(bench.family).sent_from(40_000 + number)
}

fn of_neighbour(bench: &Bench<'_>, frame: &Frame) -> Frame {
    let mut frame = frame.clone();
    // Far enough for another network of 64 bits.
    frame.from.set_ip(match bench.family {
        Family::V4 => bench.family.neighbour(8),
        Family::V6 => "2001:db8:0:1::7".parse().expect("an address"),
    });
    frame
}

/// Active flows that are counted of all sources.
fn counted(memory: &Memory<'_>) -> u64 {
    let holders = memory.quotas.iter().flat_map(|bucket| &bucket.holders);
    holders.map(|holder| holder.load() & u64::from(u32::MAX)).sum()
}

fn a_denied_source_opens_nothing(bench: &mut Bench<'_>) {
    let list = deny(bench, 4, bench.family.client().ip());
    bench.memory().services[service(bench)].denied.store(list);
    bench.drops(&flow(bench, 0), Reason::Denied);
    bench.reaches_backend(&of_neighbour(bench, &flow(bench, 0)));
    bench.memory().services[service(bench)].denied.store(0);
    bench.reaches_backend(&flow(bench, 0));
}

fn a_list_of_one_service_is_not_anothers(bench: &mut Bench<'_>) {
    let list = deny(bench, 4, bench.family.client().ip());
    bench.memory().services[service(bench)].denied.store(list);
    bench.reaches_backend(&Frame::datagram(bench.family));
}

fn what_is_denied_everywhere_is_denied_to_each_service(bench: &mut Bench<'_>) {
    let list = deny(bench, 0, bench.family.client().ip());
    bench.memory().settings.denied.store(list);
    bench.drops(&flow(bench, 0), Reason::Denied);
    bench.drops(&Frame::datagram(bench.family), Reason::Denied);
    bench.reaches_backend(&of_neighbour(bench, &flow(bench, 0)));
    // Whom the service's own list denies is not let in by the other.
    let list = deny(bench, 4, of_neighbour(bench, &flow(bench, 0)).from.ip());
    bench.memory().services[service(bench)].denied.store(list);
    bench.drops(&of_neighbour(bench, &flow(bench, 1)), Reason::Denied);
}

fn flows_of_a_source_that_is_denied_later_stay(bench: &mut Bench<'_>) {
    let syn = flow(bench, 0);
    bench.handshake(&syn);
    let list = deny(bench, 4, bench.family.client().ip());
    bench.memory().settings.denied.store(list);
    bench.reaches_backend(&syn.with(ACK, b"still here"));
    bench.drops(&flow(bench, 1), Reason::Denied);
}

/// Else a segment of no flow is answered with RST.
fn a_denied_source_is_told_nothing(bench: &mut Bench<'_>) {
    let list = deny(bench, 4, bench.family.client().ip());
    bench.memory().settings.denied.store(list);
    bench.drops(&flow(bench, 0).with(ACK, b"whose?"), Reason::Denied);
}

fn a_source_has_so_many_flows_and_no_more(bench: &mut Bench<'_>) {
    bench.memory().services[service(bench)].source_flows.store(3);
    for number in 0..3 {
        bench.reaches_backend(&flow(bench, number));
    }
    bench.drops(&flow(bench, 3), Reason::SourceFull);
    bench.reaches_backend(&flow(bench, 0).with(ACK, b"still here"));
    // Another source, and another service of the same one, have their own.
    bench.reaches_backend(&of_neighbour(bench, &flow(bench, 0)));
    bench.reaches_backend(&Frame::datagram(bench.family));
    assert_eq!(counted(&bench.memory()), 4);
}

fn a_flow_that_ends_is_its_sources_no_more(bench: &mut Bench<'_>) {
    bench.memory().services[service(bench)].source_flows.store(1);
    for number in 0..5 {
        bench.reaches_backend(&flow(bench, number));
        bench.drops(&flow(bench, number + 1), Reason::SourceFull);
        bench.reaches_backend(&flow(bench, number).with(RST, b""));
        // It has ended once, however often it is said.
        bench.reaches_backend(&flow(bench, number).with(RST, b""));
        assert_eq!(counted(&bench.memory()), 0);
    }
    let syn = flow(bench, 9);
    bench.handshake(&syn);
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
    bench.drops(&flow(bench, 10), Reason::SourceFull);
    world::ends(&bench.memory(), bench.family.row(TCP, PORT), true);
    bench.resets(&syn.with(ACK, b"too late"), Reason::BackendDown);
    assert_eq!(
        counted(&bench.memory()),
        0,
        "the flow of a backend that went down"
    );
}

fn a_flow_that_cannot_be_opened_counts_for_nobody(bench: &mut Bench<'_>) {
    bench.memory().services[service(bench)].source_flows.store(5);
    bench.reaches_backend(&Frame::syn(bench.family));
    // The pool has one port.
    for number in 1..4 {
        let syn = Frame::syn(bench.family).sent_from(40_000 + number);
        bench.drops(&syn, Reason::NoSourcePort);
    }
    assert_eq!(counted(&bench.memory()), 1);
}

fn a_source_opens_so_many_flows_in_a_second(bench: &mut Bench<'_>) {
    bench.memory().services[service(bench)].flow_rate.store(2);
    long_second(bench);
    for number in 0..2 {
        bench.reaches_backend(&flow(bench, number));
    }
    bench.drops(&flow(bench, 2), Reason::SourceFlows);
    bench.reaches_backend(&of_neighbour(bench, &flow(bench, 2)));
    // Also when they have ended.
    bench.reaches_backend(&flow(bench, 0).with(RST, b""));
    bench.drops(&flow(bench, 2), Reason::SourceFlows);
    a_second_later(bench);
    bench.reaches_backend(&flow(bench, 2));
}

fn a_source_sends_so_many_packets_in_a_second(bench: &mut Bench<'_>) {
    let row = bench.family.row(UDP, PORT) as usize;
    bench.memory().services[row].packet_rate.store(3);
    long_second(bench);
    let question = Frame::datagram(bench.family);
    for _ in 0..3 {
        bench.reaches_backend(&question);
    }
    bench.drops(&question, Reason::SourcePackets);
    // Of all its flows.
    world::pool(&bench.memory(), POOL, 1000);
    bench.drops(&question.sent_from(40_001), Reason::SourcePackets);
    bench.reaches_backend(&of_neighbour(bench, &question));
    a_second_later(bench);
    bench.reaches_backend(&question);
}

fn answers_are_not_counted_among_a_sources_packets(bench: &mut Bench<'_>) {
    let row = bench.family.row(UDP, PORT) as usize;
    bench.memory().services[row].packet_rate.store(1);
    long_second(bench);
    let question = Frame::datagram(bench.family);
    let left = bench.reaches_backend(&question);
    for _ in 0..3 {
        bench.reaches_client(&left.answer(0, b"an answer"), &question);
    }
    bench.drops(&question, Reason::SourcePackets);
}

fn a_network_of_64_bits_is_one_source(bench: &mut Bench<'_>) {
    bench.memory().services[service(bench)].source_flows.store(1);
    bench.reaches_backend(&flow(bench, 0));
    let mut of_same_network = flow(bench, 0);
    of_same_network.from.set_ip(bench.family.neighbour(8));
    bench.drops(&of_same_network, Reason::SourceFull);
}

fn where_no_place_is_left_sources_go_uncounted(bench: &mut Bench<'_>) {
    let memory = bench.memory();
    memory.services[service(bench)].source_flows.store(1);
    // All places are others', who have a flow each.
    let holders = memory.quotas.iter().flat_map(|bucket| &bucket.holders);
    holders.for_each(|holder| holder.store(1));
    for number in 0..3 {
        bench.reaches_backend(&flow(bench, number));
    }
    assert_eq!(counted(&bench.memory()), places(&bench.memory()));
    for number in 0..3 {
        bench.reaches_backend(&flow(bench, number).with(RST, b""));
    }
    assert_eq!(counted(&bench.memory()), places(&bench.memory()));
}

/// Places for sources.
fn places(memory: &Memory<'_>) -> u64 {
    memory
        .quotas
        .iter()
        .map(|bucket| bucket.holders.len() as u64)
        .sum()
}
