//! What the flow log is written from, in both engines.

use lb_common::{
    Reason,
    flow::{Record, State, Why},
    layout::Ended,
    wire::{ACK, FIN},
};

use super::rows;
use crate::{bench::Bench, frame::Frame, world};

rows! {
    a_flow_that_makes_way_for_the_next_is_logged_with_its_counts: v4 v6;
    a_flow_whose_backend_ends_is_logged: v4 v6;
    a_flow_without_payload_is_not_logged_where_that_is_wanted: v4 v6;
    nothing_is_counted_where_flows_are_not_logged: v4 v6;
}

fn log(bench: &Bench<'_>, null: bool) {
    let memory = bench.memory();
    memory.settings.flow_log.store(1);
    memory.settings.log_null.store(u32::from(null));
}

/// What is to be read from all rings.
fn records(bench: &Bench<'_>) -> Vec<Record> {
    let memory = bench.memory();
    let rings = memory.ended.chunks(Ended::ROWS as usize).zip(memory.ends);
    let rows = rings.flat_map(|(ring, ends)| (1..=ends.written.load()).zip(ring));
    rows.map(|(number, row)| row.record(number).expect("a row that is written"))
        .collect()
}

/// Both FINs, after a word from each end.
fn talk_and_close(bench: &mut Bench<'_>, syn: &Frame) {
    let left = bench.handshake(syn);
    bench.reaches_backend(&syn.with(ACK, b"hello"));
    bench.reaches_client(&left.answer(ACK, b"hello yourself"), syn);
    bench.reaches_client(&left.answer(FIN | ACK, b""), syn);
    bench.reaches_backend(&syn.with(FIN | ACK, b""));
}

fn a_flow_that_makes_way_for_the_next_is_logged_with_its_counts(bench: &mut Bench<'_>) {
    log(bench, false);
    let syn = Frame::syn(bench.family);
    talk_and_close(bench, &syn);
    let (packets_in, bytes_in, packets_out, bytes_out) = world::traffic(&bench.memory());
    assert_eq!(records(bench), [], "it is still there, for strays");
    bench.reaches_backend(&syn);
    let [record] = records(bench)[..] else {
        panic!("one flow has ended")
    };
    assert_eq!(record.sent, [packets_in, bytes_in, 5]);
    assert_eq!(record.answered, [packets_out, bytes_out, 14]);
    assert!(
        record.state.has(State::CLOSED) && record.why == Why::Over,
        "{record:?}"
    );
    assert_eq!(record.key.src_port.number(), syn.from.port());
    assert_eq!(record.to.dst_port.number(), bench.family.backend().port());
    assert!(record.began.is_some());
    // The next one stands in its entries, and is counted for itself.
    talk_and_close(bench, &syn);
    bench.reaches_backend(&syn);
    let [_, next] = records(bench)[..] else {
        panic!("two flows have ended")
    };
    assert_eq!((next.sent[2], next.answered[2]), (5, 14));
}

fn a_flow_whose_backend_ends_is_logged(bench: &mut Bench<'_>) {
    log(bench, true);
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    world::ends(
        &bench.memory(),
        bench.family.row(syn.protocol, syn.to.port()),
        true,
    );
    bench.resets(&syn.with(ACK, b"too late"), Reason::BackendDown);
    let ends: Vec<_> = records(bench)
        .iter()
        .map(|record| (record.why, record.sent[2]))
        .collect();
    assert_eq!(
        ends,
        [(Why::BackendEnds, 0)],
        "what was not forwarded does not count"
    );
}

fn a_flow_without_payload_is_not_logged_where_that_is_wanted(bench: &mut Bench<'_>) {
    log(bench, false);
    let syn = Frame::syn(bench.family);
    bench.handshake(&syn);
    world::ends(
        &bench.memory(),
        bench.family.row(syn.protocol, syn.to.port()),
        true,
    );
    bench.resets(&syn.with(ACK, b""), Reason::BackendDown);
    assert_eq!(records(bench), []);
}

fn nothing_is_counted_where_flows_are_not_logged(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    talk_and_close(bench, &syn);
    bench.reaches_backend(&syn);
    assert_eq!(records(bench), []);
    let memory = bench.memory();
    assert!(memory.accounts.iter().all(|account| account.packets.load() == 0));
}
