//! Packets of flows, from first to last.

use lb_common::{
    Reason,
    wire::{ACK, FIN, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, BACKEND_MAC, FRONT, OTHER, POOL},
};

rows! {
    a_tcp_syn_opens_a_flow_and_goes_to_the_backend: v4 v6;
    a_backend_behind_the_clients_interface_is_sent_to_by_tx: v4 v6;
    the_second_packet_follows_the_first: v4 v6;
    an_answer_goes_back_to_the_client: v4 v6;
    a_whole_connection_is_forwarded_and_counted: v4 v6;
    a_udp_datagram_opens_a_flow_and_is_answered: v4 v6;
    a_reset_from_the_client_closes_the_flow: v4 v6;
    a_reset_from_the_backend_closes_the_flow: v4 v6;
    a_reset_in_the_midst_of_a_flow_counts_against_the_backend: v4 v6;
    a_reset_by_the_client_or_after_a_fin_counts_against_nobody: v4 v6;
    strays_of_a_closed_flow_still_arrive: v4 v6;
    a_syn_on_a_closed_flow_opens_it_anew: v4 v6;
    a_flow_opened_anew_keeps_the_port_that_it_was_given_instead_of_another: v4 v6;
    a_syn_on_a_closed_flow_goes_to_the_backend_that_is_chosen_now: v4 v6;
    a_syn_on_a_closed_flow_is_given_a_port_of_the_pool_as_it_is_now: v4 v6;
    a_flow_opened_anew_is_led_to_where_its_client_is_now: v4 v6;
    a_syn_again_before_the_answer_is_the_same_flow: v4 v6;
    answers_follow_a_client_to_another_mac_address: v4 v6;
    answers_follow_a_client_to_another_interface: v4 v6;
    a_flow_keeps_its_backend_when_the_choice_changes: v4 v6;
}

fn a_tcp_syn_opens_a_flow_and_goes_to_the_backend(bench: &mut Bench<'_>) {
    bench.reaches_backend(&Frame::syn(bench.family));
    assert_eq!(bench.flows(), (1, 0));
}

fn a_backend_behind_the_clients_interface_is_sent_to_by_tx(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::next_hop(&bench.memory(), row, BACKEND_MAC, FRONT);
    let left = bench.reaches_backend(&syn);
    assert_eq!(left.interface, syn.interface);
    let mut answer = left.answer(SYN | ACK, b"");
    answer.interface = FRONT;
    bench.reaches_client(&answer, &syn);
}

fn the_second_packet_follows_the_first(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let first = bench.reaches_backend(&syn);
    let second = bench.reaches_backend(&syn.with(ACK, b"SELECT 1"));
    assert_eq!(first.from, second.from, "by the same source port");
    assert_eq!(bench.flows(), (1, 0));
}

fn an_answer_goes_back_to_the_client(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.reaches_backend(&syn);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
}

fn a_whole_connection_is_forwarded_and_counted(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    for length in [1, 700, 1400] {
        bench.reaches_backend(&syn.with(ACK, &vec![0x5a; length]));
        bench.reaches_client(&left.answer(ACK, &vec![0xa5; length]), &syn);
    }
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
    assert_eq!(bench.flows(), (1, 0), "one side may still speak");
    bench.reaches_client(&left.answer(FIN | ACK, b"the rest"), &syn);
    assert_eq!(bench.flows(), (1, 1));
    bench.reaches_backend(&syn.with(ACK, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_udp_datagram_opens_a_flow_and_is_answered(bench: &mut Bench<'_>) {
    let question = Frame::datagram(bench.family);
    let left = bench.reaches_backend(&question);
    bench.reaches_client(&left.answer(0, b"an answer"), &question);
    bench.reaches_backend(&question);
    assert_eq!(bench.flows(), (1, 0));
}

fn a_reset_from_the_client_closes_the_flow(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_reset_from_the_backend_closes_the_flow(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.reaches_backend(&syn);
    bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_reset_in_the_midst_of_a_flow_counts_against_the_backend(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    let left = bench.handshake(&syn);
    for _ in 0..2 {
        bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
        assert_eq!(world::resets(&bench.memory(), row), 1, "once for the flow");
    }
    assert_eq!(world::not_taken(&bench.memory(), row), (0, 0));
}

fn a_reset_by_the_client_or_after_a_fin_counts_against_nobody(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    let left = bench.handshake(&syn);
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
    bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
    bench.handshake(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    assert_eq!(world::resets(&bench.memory(), row), 0);
}

fn strays_of_a_closed_flow_still_arrive(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    bench.reaches_client(&left.answer(ACK, b"late"), &syn);
    bench.reaches_backend(&syn.with(ACK, b"late"));
    bench.reaches_backend(&syn.with(RST, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_syn_on_a_closed_flow_opens_it_anew(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let first = bench.handshake(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    let second = bench.handshake(&syn);
    assert_eq!(first.from, second.from, "by the same source port (RFC 6191)");
    assert_eq!(bench.flows(), (2, 1));
}

fn a_flow_opened_anew_keeps_the_port_that_it_was_given_instead_of_another(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), POOL, 2);
    let first = Frame::syn(bench.family);
    // Two ports further is the same place in the pool.
    let second = first.sent_from(40_002);
    let taken = bench.reaches_backend(&first);
    let before = bench.handshake(&second);
    assert_ne!(taken.from, before.from);
    // Pools in which that client would begin elsewhere, but for one in so many.
    for count in [3, 5, 7, 11] {
        bench.reaches_backend(&second.with(RST, b""));
        world::pool(&bench.memory(), POOL, count);
        let after = bench.handshake(&second);
        assert_eq!(before.from, after.from, "by the same source port (RFC 6191)");
    }
    assert_eq!(bench.flows(), (6, 4));
    bench.reaches_client(&taken.answer(SYN | ACK, b""), &first);
}

fn a_syn_on_a_closed_flow_goes_to_the_backend_that_is_chosen_now(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (first, second) = (
        bench.family.row(syn.protocol, syn.to.port()),
        bench.family.row(syn.protocol, world::SECOND_PORT),
    );
    bench.reaches_backend_of(&syn, first);
    bench.reaches_backend_of(&syn.with(RST, b""), first);
    world::choices(&bench.memory(), first, &[second]);
    bench.reaches_backend_of(&syn, second);
    assert_eq!(bench.flows(), (2, 1));
    assert_eq!(world::active(&bench.memory(), first), 0);
    assert_eq!(world::active(&bench.memory(), second), 1);
}

fn a_syn_on_a_closed_flow_is_given_a_port_of_the_pool_as_it_is_now(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    world::pool(&bench.memory(), POOL + 100, 1);
    let left = bench.handshake(&syn);
    assert_eq!(left.from.port(), POOL + 100);
    assert_eq!(bench.flows(), (2, 1));
}

fn a_flow_opened_anew_is_led_to_where_its_client_is_now(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    let mut moved = syn.clone();
    moved.interface = OTHER;
    moved.from_mac = [2, 0, 0, 0, 0, 0x77];
    moved.to_mac = [2, 0, 0, 0, 0, 0x78];
    let left = bench.reaches_backend(&moved);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &moved);
}

fn a_syn_again_before_the_answer_is_the_same_flow(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    bench.reaches_backend(&syn);
    assert_eq!(bench.flows(), (1, 0));
}

fn answers_follow_a_client_to_another_mac_address(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    let mut moved = syn.with(ACK, b"by another router");
    moved.from_mac = [2, 0, 0, 0, 0, 0x77];
    bench.reaches_backend(&moved);
    bench.reaches_client(&left.answer(ACK, b""), &moved);
}

fn answers_follow_a_client_to_another_interface(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    let mut moved = syn.with(FIN | ACK, b"by another interface, and with news");
    moved.interface = OTHER;
    moved.to_mac = [2, 0, 0, 0, 0, 0x78];
    bench.reaches_backend(&moved);
    bench.reaches_client(&left.answer(ACK, b""), &moved);
    // From there by TX: the answer comes in by the interface that it has to go out by.
    let mut answer = left.answer(ACK, b"");
    answer.interface = OTHER;
    bench.reaches_client(&answer, &moved);
}

fn a_flow_keeps_its_backend_when_the_choice_changes(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::choices(&bench.memory(), row, &[]);
    bench.reaches_backend(&syn.with(ACK, b"still here"));
    bench.drops(&syn.sent_from(50_000), Reason::NoBackend);
}
