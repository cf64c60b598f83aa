//! Mode `dsr`: packets get their backend's MAC address, and answers go another way.

use lb_common::{
    manner::Manner,
    wire::{ACK, FIN, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, BACKEND_MAC, FRONT},
};

rows! {
    a_tcp_connection_goes_to_the_neighbour_as_it_is: v4 v6;
    a_udp_flow_goes_to_the_neighbour_as_it_is: v4 v6;
    a_neighbour_behind_the_clients_interface_is_sent_to_by_tx: v4 v6;
    ip_options_and_ttl_stay: v4;
    a_ttl_of_one_stays: v6;
    an_unfinished_checksum_is_finished: v4 v6;
    a_wrong_checksum_stays_wrong: v4 v6;
    the_clients_fin_ends_a_flow_and_its_rest_still_arrives: v4 v6;
    a_reset_ends_a_flow: v4 v6;
    a_syn_after_the_end_opens_anew: v4 v6;
    a_connection_of_another_balancer_goes_on: v4 v6;
    a_flow_keeps_its_neighbour_when_the_choice_changes: v4 v6;
}

fn dsr(bench: &Bench<'_>) {
    world::manner(&bench.memory(), bench.family, Manner::DSR);
}

fn a_tcp_connection_goes_to_the_neighbour_as_it_is(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    bench.reaches_neighbour(&syn);
    for length in [0, 1, 700, 1400] {
        bench.reaches_neighbour(&syn.with(ACK, &vec![0x5a; length]));
    }
    assert_eq!(bench.flows(), (1, 0));
}

fn a_udp_flow_goes_to_the_neighbour_as_it_is(bench: &mut Bench<'_>) {
    dsr(bench);
    let question = Frame::datagram(bench.family);
    bench.reaches_neighbour(&question);
    bench.reaches_neighbour(&question.with(0, b"another"));
    assert_eq!(bench.flows(), (1, 0));
}

fn a_neighbour_behind_the_clients_interface_is_sent_to_by_tx(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::next_hop(&bench.memory(), row, BACKEND_MAC, FRONT);
    bench.reaches_neighbour(&syn);
}

fn ip_options_and_ttl_stay(bench: &mut Bench<'_>) {
    dsr(bench);
    let mut syn = Frame::syn(bench.family);
    (syn.options, syn.ttl) = (vec![1; 40], 1);
    bench.reaches_neighbour(&syn);
}

fn a_ttl_of_one_stays(bench: &mut Bench<'_>) {
    dsr(bench);
    let mut syn = Frame::syn(bench.family);
    syn.ttl = 1;
    bench.reaches_neighbour(&syn);
}

fn an_unfinished_checksum_is_finished(bench: &mut Bench<'_>) {
    dsr(bench);
    for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        frame.check = Check::Partial;
        bench.reaches_neighbour(&frame);
    }
}

fn a_wrong_checksum_stays_wrong(bench: &mut Bench<'_>) {
    dsr(bench);
    for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        frame.check = Check::Off(1);
        bench.reaches_neighbour(&frame);
    }
}

fn the_clients_fin_ends_a_flow_and_its_rest_still_arrives(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    bench.reaches_neighbour(&syn);
    bench.reaches_neighbour(&syn.with(ACK, b"SELECT 1"));
    bench.reaches_neighbour(&syn.with(FIN | ACK, b""));
    assert_eq!(bench.flows(), (1, 1));
    bench.reaches_neighbour(&syn.with(ACK, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_reset_ends_a_flow(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    bench.reaches_neighbour(&syn);
    bench.reaches_neighbour(&syn.with(RST, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_syn_after_the_end_opens_anew(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    bench.reaches_neighbour(&syn);
    bench.reaches_neighbour(&syn.with(FIN | ACK, b""));
    bench.reaches_neighbour(&syn);
    assert_eq!(bench.flows(), (2, 1));
}

fn a_connection_of_another_balancer_goes_on(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    for (number, flags) in (0..).zip([ACK, FIN | ACK, SYN | ACK]) {
        bench.reaches_neighbour(&syn.sent_from(40_000 + number).with(flags, b"data"));
    }
    assert_eq!(bench.flows(), (3, 1));
}

fn a_flow_keeps_its_neighbour_when_the_choice_changes(bench: &mut Bench<'_>) {
    dsr(bench);
    let syn = Frame::syn(bench.family);
    bench.reaches_neighbour(&syn);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::choices(&bench.memory(), row, &[]);
    bench.reaches_neighbour(&syn.with(ACK, b"SELECT 1"));
}
