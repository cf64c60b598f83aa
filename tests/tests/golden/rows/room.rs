//! `maxconn` of backends and services.

use lb_common::{
    Reason,
    address::TCP,
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
    a_full_backends_flows_go_to_another: v4 v6;
    least_conn_passes_over_a_full_backend: v4 v6;
    where_all_backends_are_full_nothing_opens: v4 v6;
    a_full_service_opens_nothing: v4 v6;
    a_flow_that_ends_makes_room: v4 v6;
    a_flow_opened_anew_takes_room_as_any_other: v4 v6;
    flows_beyond_a_limit_that_comes_later_stay: v4 v6;
}

fn two(bench: &Bench<'_>, scheduler: u32) -> [u32; 2] {
    let memory = bench.memory();
    let service = bench.family.row(TCP, PORT);
    let backends = [service, 6];
    world::join(&memory, bench.family, service, &backends);
    // One slot: only a full backend's flows get to the other.
    world::choices(&memory, service, &[service]);
    world::pool(&memory, POOL, 1000);
    memory.services[service as usize].scheduler.store(scheduler);
    backends
}

fn limit(bench: &Bench<'_>, backend: u32, most: u32) {
    bench.memory().backends[backend as usize].maxconn.store(most);
}

fn flow(bench: &Bench<'_>, number: u16) -> Frame {
    Frame::syn(bench.family).sent_from(40_000 + number)
}

fn a_full_backends_flows_go_to_another(bench: &mut Bench<'_>) {
    for scheduler in [Service::MAGLEV, Service::SOURCE, Service::ROUND_ROBIN] {
        world::set_up(&bench.memory());
        let [a, b] = two(bench, scheduler);
        limit(bench, a, 2);
        for (number, backend) in (0..).zip([a, a, b, b, b]) {
            bench.reaches_backend_of(&flow(bench, number), backend);
        }
        bench.reaches_backend_of(&flow(bench, 0).with(ACK, b"still here"), a);
    }
}

fn least_conn_passes_over_a_full_backend(bench: &mut Bench<'_>) {
    let [a, b] = two(bench, Service::LEAST_CONN);
    limit(bench, a, 1);
    for (number, backend) in (0..).zip([a, b, b, b]) {
        bench.reaches_backend_of(&flow(bench, number), backend);
    }
}

fn where_all_backends_are_full_nothing_opens(bench: &mut Bench<'_>) {
    let [a, b] = two(bench, Service::MAGLEV);
    limit(bench, a, 1);
    limit(bench, b, 1);
    bench.reaches_backend_of(&flow(bench, 0), a);
    bench.reaches_backend_of(&flow(bench, 1), b);
    bench.drops(&flow(bench, 2), Reason::BackendFull);
    bench.reaches_backend_of(&flow(bench, 0).with(ACK, b"still here"), a);
    assert_eq!(bench.flows(), (2, 0));
}

fn a_full_service_opens_nothing(bench: &mut Bench<'_>) {
    let [a, _] = two(bench, Service::MAGLEV);
    bench.memory().services[a as usize].maxconn.store(2);
    bench.reaches_backend_of(&flow(bench, 0), a);
    bench.reaches_backend_of(&flow(bench, 1), a);
    bench.drops(&flow(bench, 2), Reason::ServiceFull);
    // Other services have their own room.
    bench.reaches_backend(&Frame::datagram(bench.family));
}

fn a_flow_that_ends_makes_room(bench: &mut Bench<'_>) {
    let [a, b] = two(bench, Service::MAGLEV);
    bench.memory().services[a as usize].maxconn.store(1);
    limit(bench, a, 1);
    for number in 0..5 {
        bench.reaches_backend_of(&flow(bench, number), a);
        bench.drops(&flow(bench, number + 1), Reason::ServiceFull);
        bench.reaches_backend_of(&flow(bench, number).with(RST, b""), a);
        bench.reaches_backend_of(&flow(bench, number).with(RST, b""), a);
    }
    assert_eq!(
        [a, b].map(|backend| world::active(&bench.memory(), backend)),
        [0, 0]
    );
    assert_eq!(bench.memory().services[a as usize].active.load(), 0);
    assert_eq!(bench.flows(), (5, 5));
}

fn a_flow_opened_anew_takes_room_as_any_other(bench: &mut Bench<'_>) {
    let [a, _] = two(bench, Service::MAGLEV);
    bench.memory().services[a as usize].maxconn.store(1);
    for _ in 0..3 {
        bench.reaches_backend_of(&flow(bench, 0), a);
        bench.drops(&flow(bench, 1), Reason::ServiceFull);
        bench.reaches_backend_of(&flow(bench, 0).with(RST, b""), a);
    }
    bench.reaches_backend_of(&flow(bench, 1), a);
    bench.drops(&flow(bench, 0), Reason::ServiceFull);
    assert_eq!(bench.flows(), (4, 3));
}

fn flows_beyond_a_limit_that_comes_later_stay(bench: &mut Bench<'_>) {
    let [a, b] = two(bench, Service::MAGLEV);
    for number in 0..3 {
        bench.reaches_backend_of(&flow(bench, number), a);
    }
    limit(bench, a, 1);
    bench.reaches_backend_of(&flow(bench, 3), b);
    bench.reaches_backend_of(&flow(bench, 0).with(RST, b""), a);
    // Still one too many.
    bench.reaches_backend_of(&flow(bench, 4), b);
    bench.reaches_backend_of(&flow(bench, 1).with(ACK, b"still here"), a);
}
