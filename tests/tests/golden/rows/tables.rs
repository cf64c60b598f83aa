//! Tables that run full, and the counters.

use lb_common::{
    Reason, Verdict,
    wire::{ACK, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, POOL},
};

rows! {
    two_clients_of_one_backend_get_different_source_ports: v4 v6;
    clients_that_would_have_the_same_source_port_do_not_meet: v4 v6;
    a_pool_whose_ports_are_all_in_use_refuses: v4 v6;
    a_port_that_lingers_is_taken_where_no_other_is_left: v4 v6;
    a_port_that_lingers_is_left_alone_where_another_is_free: v4 v6;
    an_empty_pool_refuses: v4 v6;
    a_table_full_of_established_flows_refuses: v4 v6;
    a_table_full_of_closed_flows_makes_room: v4 v6;
    a_table_full_of_flows_that_nobody_answered_makes_room: v4 v6;
    the_counters_add_up_to_the_packets_sent: v4 v6;
}

/// Flows that a table of two buckets has room for: four entries in each, two for each flow.
const ROOM: u16 = 4;

fn two_clients_of_one_backend_get_different_source_ports(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), POOL, 1000);
    let syn = Frame::syn(bench.family);
    let (first, second) = (
        bench.reaches_backend(&syn),
        bench.reaches_backend(&syn.sent_from(40_001)),
    );
    assert_ne!(first.from, second.from);
    bench.reaches_client(&second.answer(SYN | ACK, b""), &syn.sent_from(40_001));
    bench.reaches_client(&first.answer(SYN | ACK, b""), &syn);
}

fn clients_that_would_have_the_same_source_port_do_not_meet(bench: &mut Bench<'_>) {
    // Ports a whole pool apart begin at the same place in it.
    world::pool(&bench.memory(), POOL, 1000);
    let syn = Frame::syn(bench.family);
    let clients: Vec<Frame> = (40_000..45_000)
        .step_by(1000)
        .map(|port| syn.sent_from(port))
        .collect();
    let left: Vec<Frame> = clients
        .iter()
        .map(|client| bench.reaches_backend(client))
        .collect();
    for (client, left) in clients.iter().zip(&left) {
        bench.reaches_client(&left.answer(SYN | ACK, b""), client);
    }
}

fn a_pool_whose_ports_are_all_in_use_refuses(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        bench.reaches_backend(&frame);
        bench.drops(&frame.sent_from(40_001), Reason::NoSourcePort);
        bench.reaches_backend(&frame);
    }
    assert_eq!(bench.flows(), (2, 0));
}

fn a_port_that_lingers_is_taken_where_no_other_is_left(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let first = bench.reaches_backend(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    let second = bench.reaches_backend(&syn.sent_from(40_001));
    assert_eq!(first.from, second.from);
    bench.reaches_client(&second.answer(SYN | ACK, b""), &syn.sent_from(40_001));
    // It is an active flow's now, and the old one is gone.
    bench.drops(&syn.sent_from(40_002), Reason::NoSourcePort);
    bench.resets(&syn.with(ACK, b"stray"), Reason::NoFlow);
    assert_eq!(bench.flows(), (2, 1));
}

fn a_port_that_lingers_is_left_alone_where_another_is_free(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), POOL, 2);
    let syn = Frame::syn(bench.family);
    let first = bench.reaches_backend(&syn);
    bench.reaches_backend(&syn.with(RST, b""));
    // Two ports further is the same place in the pool.
    let second = bench.reaches_backend(&syn.sent_from(40_002));
    assert_ne!(first.from, second.from);
}

fn an_empty_pool_refuses(bench: &mut Bench<'_>) {
    bench.memory().settings.pool_count.store(0);
    bench.drops(&Frame::syn(bench.family), Reason::NoSourcePort);
    bench.drops(&Frame::datagram(bench.family), Reason::NoSourcePort);
}

fn a_table_full_of_established_flows_refuses(bench: &mut Bench<'_>) {
    let clients = small_table(bench);
    for client in &clients {
        bench.handshake(client);
    }
    world::age(&bench.memory(), 1 << 20);
    bench.drops(&newcomer(bench), Reason::FlowTableFull);
    for client in &clients {
        bench.reaches_backend(&client.with(ACK, b"still here"));
    }
    assert_eq!(bench.flows(), (u64::from(ROOM), 0));
}

fn a_table_full_of_closed_flows_makes_room(bench: &mut Bench<'_>) {
    for client in small_table(bench) {
        bench.handshake(&client);
        bench.reaches_backend(&client.with(RST, b""));
    }
    world::level_ages(&bench.memory());
    for port in 50_000..50_004 {
        bench.reaches_backend(&newcomer(bench).sent_from(port));
    }
    let room = u64::from(ROOM);
    assert_eq!(bench.flows(), (2 * room, room));
}

fn a_table_full_of_flows_that_nobody_answered_makes_room(bench: &mut Bench<'_>) {
    for client in small_table(bench) {
        bench.reaches_backend(&client);
    }
    // They may yet be answered; not for long.
    bench.drops(&newcomer(bench), Reason::FlowTableFull);
    world::level_ages(&bench.memory());
    world::age(&bench.memory(), 1 << 20);
    bench.reaches_backend(&newcomer(bench));
    assert_eq!(bench.flows(), (u64::from(ROOM) + 1, 1));
}

fn the_counters_add_up_to_the_packets_sent(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let left = bench.handshake(&syn);
    bench.passes(&syn.sent_to(9999), Reason::NotForService);
    bench.passes_bytes(&[0; 14], Reason::NotIp);
    bench.drops(&syn.sent_from(40_001), Reason::NoSourcePort);
    bench.reaches_client(&left.answer(ACK, b"data"), &syn);

    let (verdicts, reasons) = world::packets(&bench.memory());
    let by_name: Vec<_> = Verdict::NAMES.into_iter().zip(verdicts.iter().copied()).collect();
    assert_eq!(by_name, [("pass", 2), ("tx", 0), ("redirect", 4), ("drop", 1)]);
    assert_eq!(reasons.iter().sum::<u64>(), 3);
    let traffic: (u64, u64, u64, u64) = world::traffic(&bench.memory());
    let bytes = |frames: &[Frame]| -> u64 { frames.iter().map(|frame| frame.bytes().len() as u64).sum() };
    let (sent, answered) = (
        [syn.clone(), syn.with(ACK, b"")],
        [left.answer(SYN | ACK, b""), left.answer(ACK, b"data")],
    );
    assert_eq!(traffic, (2, bytes(&sent), 2, bytes(&answered)));
}

/// Makes the flow tables two buckets small; as many clients as they have room for.
fn small_table(bench: &Bench<'_>) -> Vec<Frame> {
    let memory = bench.memory();
    memory.settings.bucket_mask_v4.store(1);
    memory.settings.bucket_mask_v6.store(1);
    world::pool(&memory, POOL, 1000);
    let syn = Frame::syn(bench.family);
    (0..ROOM).map(|number| syn.sent_from(40_000 + number)).collect()
}

fn newcomer(bench: &Bench<'_>) -> Frame {
    Frame::syn(bench.family).sent_from(50_000)
}
