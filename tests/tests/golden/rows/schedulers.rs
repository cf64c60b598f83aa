//! Which backend a new flow goes to.

use std::collections::BTreeSet;

use lb_common::{
    address::{TCP, UDP},
    layout::Service,
    wire::{ACK, RST},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, POOL, PORT},
};

rows! {
    round_robin_takes_one_slot_after_the_other: v4 v6;
    round_robin_gives_a_known_flow_no_turn: v4 v6;
    source_leads_all_of_a_clients_flows_to_one_backend: v4 v6;
    source_leads_clients_apart: v4 v6;
    least_conn_chooses_the_backend_with_the_fewest_flows: v4 v6;
    least_conn_weighs: v4 v6;
    least_conn_takes_turns_among_equals: v4 v6;
    least_conn_passes_over_a_backend_without_weight: v4 v6;
    udp_flows_are_scheduled_too: v4 v6;
}

/// Three backends for a service, in the order of its slots.
fn three(bench: &Bench<'_>, protocol: u8, scheduler: u32) -> [u32; 3] {
    let memory = bench.memory();
    let service = bench.family.row(protocol, PORT);
    let backends = [service, 6, 7];
    world::join(&memory, bench.family, service, &backends);
    world::choices(&memory, service, &backends);
    world::pool(&memory, POOL, 1000);
    memory.services[service as usize].scheduler.store(scheduler);
    backends
}

fn flow(bench: &Bench<'_>, number: u16) -> Frame {
    Frame::syn(bench.family).sent_from(40_000 + number)
}

fn round_robin_takes_one_slot_after_the_other(bench: &mut Bench<'_>) {
    let [a, b, c] = three(bench, TCP, Service::ROUND_ROBIN);
    world::choices(&bench.memory(), a, &[a, b, a, c]);
    for (number, backend) in (0..).zip([a, b, a, c, a, b, a, c]) {
        bench.reaches_backend_of(&flow(bench, number), backend);
    }
}

fn round_robin_gives_a_known_flow_no_turn(bench: &mut Bench<'_>) {
    let [a, b, _] = three(bench, TCP, Service::ROUND_ROBIN);
    let first = flow(bench, 0);
    bench.reaches_backend_of(&first, a);
    bench.reaches_backend_of(&first.with(ACK, b"more"), a);
    bench.reaches_backend_of(&flow(bench, 1), b);
}

fn source_leads_all_of_a_clients_flows_to_one_backend(bench: &mut Bench<'_>) {
    let backends = three(bench, TCP, Service::SOURCE);
    let chosen = chosen(bench, &flow(bench, 0), &backends);
    for number in 1..20 {
        bench.reaches_backend_of(&flow(bench, number), chosen);
    }
    assert_eq!(world::active(&bench.memory(), chosen), 20);
}

fn source_leads_clients_apart(bench: &mut Bench<'_>) {
    let backends = three(bench, TCP, Service::SOURCE);
    let mut met = BTreeSet::new();
    for client in 1..30 {
        let mut syn = Frame::syn(bench.family);
        syn.from.set_ip(bench.family.neighbour(client));
        met.insert(chosen(bench, &syn, &backends));
    }
    assert_eq!(met, backends.into(), "some of 29 clients meet each of them");
}

/// Sends a frame that opens a flow; whose it is now.
fn chosen(bench: &mut Bench<'_>, syn: &Frame, backends: &[u32]) -> u32 {
    let counts = |bench: &Bench<'_>| -> Vec<u64> {
        let of = |backend: &u32| world::active(&bench.memory(), *backend);
        backends.iter().map(of).collect()
    };
    let before = counts(bench);
    bench.send(&syn.bytes(), syn.interface);
    let after = counts(bench);
    let place = (0..backends.len()).find(|place| after[*place] > before[*place]);
    backends[place.expect("the flow is somebody's")]
}

fn least_conn_chooses_the_backend_with_the_fewest_flows(bench: &mut Bench<'_>) {
    let [a, b, c] = three(bench, TCP, Service::LEAST_CONN);
    let flows: Vec<_> = (0..3).map(|number| flow(bench, number)).collect();
    for (flow, backend) in flows.iter().zip([a, b, c]) {
        bench.reaches_backend_of(flow, backend);
    }
    // Whose flow is over has the fewest, wherever the next turn begins.
    for number in 3..7 {
        bench.reaches_backend_of(&flows[1].with(RST, b""), b);
        bench.reaches_backend_of(&flow(bench, number), b);
        bench.reaches_backend_of(&flow(bench, number).with(RST, b""), b);
        bench.reaches_backend_of(&flows[1], b);
    }
    let active = [a, b, c].map(|backend| world::active(&bench.memory(), backend));
    assert_eq!(active, [1, 1, 1]);
    let (opened, closed) = bench.flows();
    assert_eq!(
        opened - closed,
        3,
        "what is active is what was opened and not closed"
    );
}

fn least_conn_weighs(bench: &mut Bench<'_>) {
    let backends = three(bench, TCP, Service::LEAST_CONN);
    let memory = bench.memory();
    for (backend, weight) in backends.into_iter().zip([100, 50, 25]) {
        memory.backends[backend as usize].weight.store(weight);
    }
    for number in 0..70 {
        chosen(bench, &flow(bench, number), &backends);
    }
    let active = backends.map(|backend| world::active(&bench.memory(), backend));
    assert_eq!(active, [40, 20, 10]);
}

fn least_conn_takes_turns_among_equals(bench: &mut Bench<'_>) {
    let [a, b, c] = three(bench, TCP, Service::LEAST_CONN);
    for (number, backend) in (0..).zip([a, b, c, a, b, c]) {
        let syn = flow(bench, number);
        bench.reaches_backend_of(&syn, backend);
        bench.reaches_backend_of(&syn.with(RST, b""), backend);
    }
}

fn least_conn_passes_over_a_backend_without_weight(bench: &mut Bench<'_>) {
    let [a, b, c] = three(bench, TCP, Service::LEAST_CONN);
    bench.memory().backends[b as usize].weight.store(0);
    for (number, backend) in (0..).zip([a, c, c, a]) {
        bench.reaches_backend_of(&flow(bench, number), backend);
    }
}

fn udp_flows_are_scheduled_too(bench: &mut Bench<'_>) {
    let [a, b, c] = three(bench, UDP, Service::ROUND_ROBIN);
    let datagram = Frame::datagram(bench.family);
    for (number, backend) in (0..).zip([a, b, c, a]) {
        let left = bench.reaches_backend_of(&datagram.sent_from(40_000 + number), backend);
        bench.reaches_client(&left.answer(0, b""), &datagram.sent_from(40_000 + number));
    }
    assert_eq!(bench.flows(), (4, 0));
}
