//! Flows of a backend that went down.

use lb_common::{
    Reason,
    wire::{ACK, FIN, RST, SYN},
};

use super::rows;
use crate::{bench::Bench, frame::Frame, world};

rows! {
    a_client_of_a_backend_that_is_down_gets_rst_and_its_flow_is_gone: v4 v6;
    a_fin_to_a_backend_that_is_down_is_reset: v4 v6;
    a_reset_to_a_backend_that_is_down_ends_the_flow_unanswered: v4 v6;
    a_backend_that_is_down_but_still_talks_is_heard: v4 v6;
    a_flow_that_nobody_used_meanwhile_outlives_its_backends_absence: v4 v6;
    a_syn_to_a_backend_that_is_down_goes_to_another: v4 v6;
    a_datagram_to_a_backend_that_is_down_goes_to_another: v4 v6;
    a_datagram_is_dropped_where_there_is_no_other_backend: v4 v6;
    a_backend_whose_flows_end_gets_no_new_ones: v4 v6;
}

/// Has the frame's backend go down. Where there is `another`, new flows go to that of the family's third service.
/// The rows of both.
fn down(bench: &Bench<'_>, frame: &Frame, another: bool) -> (u32, u32) {
    let (row, other) = (
        bench.family.row(frame.protocol, frame.to.port()),
        bench.family.row(frame.protocol, world::SECOND_PORT),
    );
    let choices = if another { &[other][..] } else { &[] };
    world::choices(&bench.memory(), row, choices);
    world::ends(&bench.memory(), row, true);
    (row, other)
}

fn a_client_of_a_backend_that_is_down_gets_rst_and_its_flow_is_gone(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    down(bench, &syn, true);
    let query = syn.with(ACK, b"SELECT 1");
    bench.resets(&query, Reason::BackendDown);
    assert_eq!(bench.flows(), (1, 1));
    bench.resets(&query, Reason::NoFlow);
}

fn a_fin_to_a_backend_that_is_down_is_reset(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    down(bench, &syn, true);
    bench.resets(&syn.with(FIN | ACK, b""), Reason::BackendDown);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_reset_to_a_backend_that_is_down_ends_the_flow_unanswered(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    down(bench, &syn, true);
    bench.drops(&syn.with(RST, b""), Reason::BackendDown);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_backend_that_is_down_but_still_talks_is_heard(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    down(bench, &syn, true);
    bench.reaches_client(&left.answer(ACK, b"a late row"), &syn);
    bench.resets(&syn.with(ACK, b""), Reason::BackendDown);
    // Its flow is gone, and what it sends is nobody's.
    bench.passes(&left.answer(ACK, b"another"), Reason::NotForService);
}

fn a_flow_that_nobody_used_meanwhile_outlives_its_backends_absence(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    let (row, _) = down(bench, &syn, true);
    world::ends(&bench.memory(), row, false);
    bench.reaches_backend(&syn.with(ACK, b"SELECT 1"));
    assert_eq!(bench.flows(), (1, 0));
}

fn a_syn_to_a_backend_that_is_down_goes_to_another(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    bench.reaches_backend(&syn);
    let (_, other) = down(bench, &syn, true);
    let left = bench.reaches_backend_of(&syn, other);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
    assert_eq!(bench.flows(), (2, 1));
}

fn a_datagram_to_a_backend_that_is_down_goes_to_another(bench: &mut Bench<'_>) {
    let question = Frame::datagram(bench.family);
    let left = bench.reaches_backend(&question);
    bench.reaches_client(&left.answer(0, b"an answer"), &question);
    let (_, other) = down(bench, &question, true);
    let left = bench.reaches_backend_of(&question, other);
    bench.reaches_client(&left.answer(0, b"another's answer"), &question);
    assert_eq!(bench.flows(), (2, 1));
}

fn a_datagram_is_dropped_where_there_is_no_other_backend(bench: &mut Bench<'_>) {
    let question = Frame::datagram(bench.family);
    bench.reaches_backend(&question);
    down(bench, &question, false);
    bench.drops(&question, Reason::NoBackend);
    assert_eq!(bench.flows(), (1, 1));
}

/// Slots may lead there for a moment longer.
fn a_backend_whose_flows_end_gets_no_new_ones(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        let row = bench.family.row(frame.protocol, frame.to.port());
        world::ends(&bench.memory(), row, true);
        bench.drops(&frame, Reason::NoBackend);
    }
    assert_eq!(bench.flows(), (0, 0));
}
