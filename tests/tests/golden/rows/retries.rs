//! Connections that their backend does not take.

use lb_common::{
    Reason,
    layout::{MAX_RETRIES, Retries},
    wire::{ACK, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, SECOND},
};

rows! {
    a_syn_sent_again_after_a_second_goes_to_another_backend: v4 v6;
    a_copy_of_a_syn_goes_to_the_same_backend: v4 v6;
    a_syn_sent_again_after_its_answer_goes_to_the_same_backend: v4 v6;
    a_syn_is_moved_as_often_as_is_configured: v4 v6;
    a_syn_is_moved_as_often_as_an_entry_can_count: v4 v6;
    a_syn_without_retries_stays: v4 v6;
    a_syn_for_the_only_backend_is_tried_there_again: v4 v6;
    the_next_new_flow_is_not_counted_as_moved: v4 v6;
    a_connection_that_cannot_be_moved_leaves_the_next_one_alone: v4 v6;
    a_moved_connection_is_established_and_stays: v4 v6;
    a_refusal_is_counted_and_reaches_the_client: v4 v6;
    a_hidden_refusal_is_dropped_and_the_next_syn_goes_elsewhere: v4 v6;
    the_last_refusal_is_not_hidden: v4 v6;
    a_reset_after_the_answer_is_no_refusal: v4 v6;
}

const SHOWN: Retries = Retries {
    most: 3,
    hides_refusals: false,
};

const HIDDEN: Retries = Retries {
    most: 1,
    hides_refusals: true,
};

/// Opens a flow by a SYN, whose service then has a second backend; each has these retries. The rows of the first and the
/// second.
fn opened(bench: &mut Bench<'_>, syn: &Frame, retries: Retries) -> (u32, u32) {
    let (first, second) = (
        bench.family.row(syn.protocol, syn.to.port()),
        bench.family.row(syn.protocol, world::SECOND_PORT),
    );
    for backend in [first, second] {
        world::retries(&bench.memory(), backend, retries);
    }
    bench.reaches_backend_of(syn, first);
    world::choices(&bench.memory(), first, &[first, second]);
    (first, second)
}

/// A client sends its SYN again.
fn a_second_later(bench: &Bench<'_>) {
    world::age(&bench.memory(), SECOND);
}

fn a_syn_sent_again_after_a_second_goes_to_another_backend(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (first, second) = opened(bench, &syn, SHOWN);
    a_second_later(bench);
    bench.reaches_backend_of(&syn, second);
    assert_eq!(bench.flows(), (2, 1));
    assert_eq!(world::not_taken(&bench.memory(), first), (1, 0));
    assert_eq!(world::not_taken(&bench.memory(), second), (0, 0));
}

fn a_copy_of_a_syn_goes_to_the_same_backend(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (first, _) = opened(bench, &syn, SHOWN);
    for ticks in [0, 1, SECOND / 10] {
        world::age(&bench.memory(), ticks);
        bench.reaches_backend_of(&syn, first);
    }
    assert_eq!(bench.flows(), (1, 0));
}

fn a_syn_sent_again_after_its_answer_goes_to_the_same_backend(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    world::retries(
        &bench.memory(),
        bench.family.row(syn.protocol, syn.to.port()),
        SHOWN,
    );
    let left = bench.reaches_backend(&syn);
    // The answer is lost on its way to the client.
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
    a_second_later(bench);
    bench.reaches_backend(&syn);
    assert_eq!(bench.flows(), (1, 0));
}

fn a_syn_is_moved_as_often_as_is_configured(bench: &mut Bench<'_>) {
    is_moved(bench, SHOWN.most);
}

fn a_syn_is_moved_as_often_as_an_entry_can_count(bench: &mut Bench<'_>) {
    is_moved(bench, MAX_RETRIES);
}

fn is_moved(bench: &mut Bench<'_>, most: u8) {
    let syn = Frame::syn(bench.family);
    let (mut here, mut there) = opened(bench, &syn, Retries { most, ..SHOWN });
    for _ in 0..most {
        (here, there) = (there, here);
        a_second_later(bench);
        bench.reaches_backend_of(&syn, here);
    }
    let moved = u64::from(most);
    assert_eq!(bench.flows(), (moved + 1, moved));
    for _ in 0..3 {
        a_second_later(bench);
        bench.reaches_backend_of(&syn, here);
    }
    assert_eq!(bench.flows(), (moved + 1, moved), "it stays");
}

fn a_syn_without_retries_stays(bench: &mut Bench<'_>) {
    is_moved(bench, 0);
}

fn a_syn_for_the_only_backend_is_tried_there_again(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (first, _) = opened(bench, &syn, SHOWN);
    world::choices(&bench.memory(), first, &[first]);
    a_second_later(bench);
    bench.reaches_backend_of(&syn, first);
    assert_eq!(world::not_taken(&bench.memory(), first), (1, 0));
    assert_eq!(bench.flows(), (2, 1));
}

fn the_next_new_flow_is_not_counted_as_moved(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), world::POOL, 100);
    let syn = Frame::syn(bench.family);
    let (first, second) = opened(bench, &syn, Retries { most: 1, ..SHOWN });
    a_second_later(bench);
    bench.reaches_backend_of(&syn, second);
    // Another client's flow may be moved as often as any.
    let other = syn.sent_from(40_001);
    world::choices(&bench.memory(), first, &[first]);
    bench.reaches_backend_of(&other, first);
    world::choices(&bench.memory(), first, &[first, second]);
    a_second_later(bench);
    bench.reaches_backend_of(&other, second);
    assert_eq!(world::not_taken(&bench.memory(), first), (2, 0));
}

fn a_connection_that_cannot_be_moved_leaves_the_next_one_alone(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), world::POOL, 100);
    let syn = Frame::syn(bench.family);
    let (first, second) = opened(bench, &syn, Retries { most: 1, ..SHOWN });
    world::choices(&bench.memory(), first, &[first]);
    bench.reaches_backend_of(&syn.sent_from(40_001), first);
    a_second_later(bench);
    bench.memory().services[first as usize].maxconn.store(1);
    bench.drops(&syn, Reason::ServiceFull);
    bench.memory().services[first as usize].maxconn.store(0);
    // Another client's flow may be moved as often as any.
    let other = syn.sent_from(40_002);
    bench.reaches_backend_of(&other, first);
    world::choices(&bench.memory(), first, &[first, second]);
    a_second_later(bench);
    bench.reaches_backend_of(&other, second);
}

fn a_moved_connection_is_established_and_stays(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (_, second) = opened(bench, &syn, SHOWN);
    a_second_later(bench);
    let left = bench.reaches_backend_of(&syn, second);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
    for data in ["", "SELECT 1"] {
        bench.reaches_backend_of(&syn.with(ACK, data.as_bytes()), second);
        a_second_later(bench);
    }
    assert_eq!(bench.flows(), (2, 1));
}

fn a_refusal_is_counted_and_reaches_the_client(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::retries(&bench.memory(), row, SHOWN);
    let left = bench.reaches_backend(&syn);
    bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
    assert_eq!(world::not_taken(&bench.memory(), row), (0, 1));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_hidden_refusal_is_dropped_and_the_next_syn_goes_elsewhere(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::retries(&bench.memory(), row, HIDDEN);
    let left = bench.reaches_backend(&syn);
    bench.drops(&left.answer(RST | ACK, b""), Reason::RefusalHidden);
    let second = bench.family.row(syn.protocol, world::SECOND_PORT);
    world::choices(&bench.memory(), row, &[row, second]);
    a_second_later(bench);
    let left = bench.reaches_backend_of(&syn, second);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
    assert_eq!(world::not_taken(&bench.memory(), row), (1, 1));
    assert_eq!(bench.flows(), (2, 1));
}

fn the_last_refusal_is_not_hidden(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let (_, second) = opened(bench, &syn, HIDDEN);
    a_second_later(bench);
    let left = bench.reaches_backend_of(&syn, second);
    bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
    assert_eq!(world::not_taken(&bench.memory(), second), (0, 1));
    assert_eq!(bench.flows(), (2, 2));
}

fn a_reset_after_the_answer_is_no_refusal(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::retries(&bench.memory(), row, HIDDEN);
    let left = bench.reaches_backend(&syn);
    bench.reaches_client(&left.answer(SYN | ACK, b""), &syn);
    bench.reaches_client(&left.answer(RST | ACK, b""), &syn);
    assert_eq!(world::not_taken(&bench.memory(), row), (0, 0));
}
