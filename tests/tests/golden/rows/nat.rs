//! Mode `nat`: the destination is translated, and backends see their clients.

use lb_common::{
    Reason,
    manner::Manner,
    wire::{ACK, FIN, SYN},
};

use super::{errors::is_reported, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, SECOND_PORT},
};

rows! {
    a_tcp_connection_keeps_the_clients_address: v4 v6;
    a_udp_flow_keeps_the_clients_address: v4 v6;
    an_unfinished_checksum_is_finished_both_ways: v4 v6;
    an_answer_that_nobody_waits_for_passes: v4 v6;
    an_answer_from_another_port_passes: v4 v6;
    two_addresses_of_one_backend_cannot_share_a_clients_port: v4 v6;
    a_closed_flow_gives_the_clients_port_up: v4 v6;
    a_ttl_that_ends_here_is_reported_for_nat: v4 v6;
}

fn nat(bench: &Bench<'_>) {
    world::manner(&bench.memory(), bench.family, Manner::NAT);
}

fn a_tcp_connection_keeps_the_clients_address(bench: &mut Bench<'_>) {
    nat(bench);
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    assert_eq!(left.from, syn.from);
    bench.reaches_backend(&syn.with(ACK, b"SELECT 1"));
    bench.reaches_client(&left.answer(ACK, b"1"), &syn);
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
    assert_eq!(bench.flows(), (1, 0));
    bench.reaches_client(&left.answer(FIN | ACK, b""), &syn);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_udp_flow_keeps_the_clients_address(bench: &mut Bench<'_>) {
    nat(bench);
    let question = Frame::datagram(bench.family);
    let left = bench.reaches_backend(&question);
    bench.reaches_client(&left.answer(0, b"an answer"), &question);
}

fn an_unfinished_checksum_is_finished_both_ways(bench: &mut Bench<'_>) {
    nat(bench);
    let mut question = Frame::datagram(bench.family);
    question.check = Check::Partial;
    let left = bench.reaches_backend(&question);
    let mut answer = left.answer(0, b"an answer");
    answer.check = Check::Partial;
    bench.reaches_client(&answer, &question);
}

fn an_answer_that_nobody_waits_for_passes(bench: &mut Bench<'_>) {
    nat(bench);
    let question = Frame::syn(bench.family);
    let left = bench.reaches_backend(&question);
    let to_another_port = left.sent_from(question.from.port() + 1).answer(SYN | ACK, b"");
    bench.passes(&to_another_port, Reason::NotForService);
}

fn an_answer_from_another_port_passes(bench: &mut Bench<'_>) {
    nat(bench);
    let left = bench.reaches_backend(&Frame::syn(bench.family));
    let from_another_port = left.sent_to(9999).answer(SYN | ACK, b"");
    bench.passes(&from_another_port, Reason::NotForService);
}

/// Makes the backend of the second service the same as that of the first.
fn share_a_backend(bench: &Bench<'_>) {
    let memory = bench.memory();
    let [first, second] = [
        Frame::syn(bench.family),
        Frame::syn(bench.family).sent_to(SECOND_PORT),
    ]
    .map(|frame| bench.family.row(frame.protocol, frame.to.port()));
    let port = memory.backends[first as usize].port.load();
    memory.backends[second as usize].port.store(port);
}

fn two_addresses_of_one_backend_cannot_share_a_clients_port(bench: &mut Bench<'_>) {
    nat(bench);
    share_a_backend(bench);
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    bench.drops(&syn.sent_to(SECOND_PORT), Reason::ClientPortTaken);
    bench.reaches_backend(&syn.sent_to(SECOND_PORT).sent_from(40_001));
    assert_eq!(bench.flows(), (2, 0));
}

fn a_closed_flow_gives_the_clients_port_up(bench: &mut Bench<'_>) {
    nat(bench);
    share_a_backend(bench);
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
    bench.reaches_client(&left.answer(FIN | ACK, b""), &syn);
    bench.handshake(&syn.sent_to(SECOND_PORT));
    assert_eq!(bench.flows(), (2, 1));
}

fn a_ttl_that_ends_here_is_reported_for_nat(bench: &mut Bench<'_>) {
    nat(bench);
    let mut syn = Frame::syn(bench.family);
    syn.ttl = 1;
    is_reported(bench, &syn);
}
