//! What is for a service, and what it needs to be forwarded.

use lb_common::{
    Reason,
    address::{TCP, UDP},
    service::SlotKey,
    wire::{ACK, FIN, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::Frame,
    world::{self, BACK, BACKEND_MAC, POOL, PORT, SECOND_PORT},
};

rows! {
    another_port_passes: v4 v6;
    another_address_passes: v4 v6;
    the_other_protocol_passes: v4 v6;
    a_packet_to_a_port_of_the_pool_that_is_of_no_flow_passes: v4 v6;
    several_services_on_one_virtual_address_have_their_own_backends: v4 v6;
    two_services_on_one_port_are_told_apart_by_protocol: v4 v6;
    a_service_behind_a_removed_slot_is_found: v4 v6;
    a_service_without_a_backend_drops: v4 v6;
    a_backend_without_a_next_hop_drops: v4 v6;
    a_next_hop_that_becomes_known_is_used: v4 v6;
    a_backend_without_a_source_address_drops: v4 v6;
    tcp_without_a_flow_is_reset_unless_it_is_a_syn: v4 v6;
    a_reset_without_a_flow_drops: v4 v6;
    flags_that_cannot_be_open_nothing: v4 v6;
    a_packet_from_its_own_destination_opens_nothing: v4 v6;
}

fn another_port_passes(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        bench.passes(&frame.sent_to(9999), Reason::NotForService);
    }
}

fn another_address_passes(bench: &mut Bench<'_>) {
    for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        frame.to.set_ip(bench.family.source());
        bench.passes(&frame, Reason::NotForService);
    }
}

fn the_other_protocol_passes(bench: &mut Bench<'_>) {
    let datagram = Frame::datagram(bench.family).sent_to(SECOND_PORT);
    bench.passes(&datagram, Reason::NotForService);
}

fn a_packet_to_a_port_of_the_pool_that_is_of_no_flow_passes(bench: &mut Bench<'_>) {
    // The host's own connections may use these ports too.
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        let mut frame = frame.sent_to(POOL).with(ACK, b"to the host");
        frame.to.set_ip(bench.family.source());
        bench.passes(&frame, Reason::NotForService);
    }
}

fn several_services_on_one_virtual_address_have_their_own_backends(bench: &mut Bench<'_>) {
    let first = bench.reaches_backend(&Frame::syn(bench.family));
    let second = bench.reaches_backend(&Frame::syn(bench.family).sent_to(SECOND_PORT));
    assert_ne!(first.to, second.to);
    assert_eq!(first.from, second.from, "one source port serves for two backends");
    assert_eq!(bench.flows(), (2, 0));
}

fn two_services_on_one_port_are_told_apart_by_protocol(bench: &mut Bench<'_>) {
    let (syn, question) = (Frame::syn(bench.family), Frame::datagram(bench.family));
    let (tcp, udp) = (bench.reaches_backend(&syn), bench.reaches_backend(&question));
    assert_ne!(tcp.to, udp.to);
    bench.reaches_client(&udp.answer(0, b"an answer"), &question);
    bench.reaches_client(&tcp.answer(SYN | ACK, b""), &syn);
    assert_eq!(bench.flows(), (2, 0));
}

fn a_service_behind_a_removed_slot_is_found(bench: &mut Bench<'_>) {
    let memory = bench.memory();
    let syn = Frame::syn(bench.family);
    let wanted = bench.family.row(TCP, PORT);
    let place = (memory.service_slots.iter())
        .position(|slot| slot.key.load() != 0 && SlotKey(slot.key.load()).service() == wanted)
        .expect("the service stands somewhere");
    let (from, to) = (
        &memory.service_slots[place],
        &memory.service_slots[(place + 1) % memory.service_slots.len()],
    );
    assert_eq!(to.key.load(), 0, "the seed leaves room for this row");
    for (from, to) in from.address.iter().zip(&to.address) {
        to.store(from.load());
    }
    to.key.store(from.key.load());
    from.key.store(SlotKey::REMOVED.0);
    bench.reaches_backend(&syn);
}

fn a_service_without_a_backend_drops(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        let row = bench.family.row(frame.protocol, PORT);
        world::choices(&bench.memory(), row, &[]);
        bench.drops(&frame, Reason::NoBackend);
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn a_backend_without_a_next_hop_drops(bench: &mut Bench<'_>) {
    for frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        let row = bench.family.row(frame.protocol, PORT);
        world::next_hop(&bench.memory(), row, [0; 6], BACK);
        bench.drops(&frame, Reason::NoNextHop);
        bench.drops(&frame, Reason::NoNextHop);
    }
}

fn a_next_hop_that_becomes_known_is_used(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    let row = bench.family.row(TCP, PORT);
    world::next_hop(&bench.memory(), row, [0; 6], BACK);
    bench.drops(&syn, Reason::NoNextHop);
    world::next_hop(&bench.memory(), row, BACKEND_MAC, BACK);
    bench.reaches_backend(&syn);
}

fn a_backend_without_a_source_address_drops(bench: &mut Bench<'_>) {
    for (protocol, frame) in [
        (TCP, Frame::syn(bench.family)),
        (UDP, Frame::datagram(bench.family)),
    ] {
        let row = bench.family.row(protocol, PORT) as usize;
        bench.memory().backends[row].sources.store(0);
        bench.drops(&frame, Reason::NoSource);
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn tcp_without_a_flow_is_reset_unless_it_is_a_syn(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    for flags in [ACK, SYN | ACK, FIN, FIN | ACK] {
        bench.resets(&syn.with(flags, b"data"), Reason::NoFlow);
    }
    assert_eq!(bench.flows(), (0, 0));
    bench.reaches_backend(&syn);
    assert_eq!(bench.flows(), (1, 0));
}

fn a_reset_without_a_flow_drops(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    for flags in [RST, RST | ACK] {
        bench.drops(&syn.with(flags, b""), Reason::NoFlow);
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn flags_that_cannot_be_open_nothing(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    for flags in [0, SYN | FIN, SYN | FIN | ACK, SYN | RST, SYN | RST | ACK] {
        bench.drops(&syn.with(flags, b"data"), Reason::Impossible);
    }
    assert_eq!(bench.flows(), (0, 0));
    // A flow's own are the backend's to judge.
    bench.reaches_backend(&syn);
    bench.reaches_backend(&syn.with(0, b"data"));
}

/// LAND (CVE-1999-0016).
fn a_packet_from_its_own_destination_opens_nothing(bench: &mut Bench<'_>) {
    for mut frame in [Frame::syn(bench.family), Frame::datagram(bench.family)] {
        frame.from = frame.to;
        bench.drops(&frame, Reason::Impossible);
        // The balancer's own host may well speak to a virtual address from that address.
        bench.reaches_backend(&frame.sent_from(40_000));
    }
}
