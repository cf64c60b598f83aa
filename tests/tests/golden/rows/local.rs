//! Backends on the balancer's own host.

use lb_common::{
    Reason,
    address::{TCP, UDP},
    layout::Retries,
    wire::{ACK, FIN, SYN},
};

use super::{icmp, rows};
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, FRONT, SECOND, SECOND_PORT},
};

rows! {
    a_connection_to_a_local_backend_goes_to_the_stack_and_its_answers_leave_from_the_virtual_address: v4 v6;
    a_datagram_to_a_local_backend_is_answered_from_the_virtual_address: v4 v6;
    an_unfinished_checksum_is_finished_for_the_stack: v4 v6;
    an_unfinished_checksum_stays_so_for_the_stack_in_generic_mode: v4 v6;
    an_unfinished_checksum_of_an_answer_stays_so: v4 v6;
    a_datagram_without_a_checksum_stays_so_both_ways: v4;
    a_last_hop_is_enough_to_reach_a_local_backend: v4 v6;
    a_packet_that_comes_in_as_a_local_backends_answer_is_left_alone: v4 v6;
    what_a_local_backend_says_to_others_leaves_untouched: v4 v6;
    what_leaves_from_other_ports_is_not_looked_at: v4 v6;
    two_virtual_addresses_of_a_local_backend_take_the_same_client: v4 v6;
    a_local_backends_flow_stays_its_own_when_it_moves_away: v4 v6;
    a_flow_to_a_local_backend_takes_a_place_and_gives_it_back: v4 v6;
    a_client_of_a_local_backend_that_is_down_gets_rst: v4 v6;
    a_connection_that_a_local_backend_does_not_take_goes_to_another: v4 v6;
    errors_about_a_local_backends_answers_reach_the_stack: v4 v6;
}

/// The backend of a frame's service runs on this host.
fn at_home(bench: &Bench<'_>, frame: &Frame) {
    let row = bench.family.row(frame.protocol, frame.to.port());
    world::local(&bench.memory(), row);
}

fn a_connection_to_a_local_backend_goes_to_the_stack_and_its_answers_leave_from_the_virtual_address(
    bench: &mut Bench<'_>,
) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let came = bench.reaches_stack(&syn);
    bench.leaves_for_client(&came.answer(SYN | ACK, b""), &syn);
    bench.reaches_stack(&syn.with(ACK, b"SELECT 1"));
    bench.leaves_for_client(&came.answer(ACK, &[0xa5; 1400]), &syn);
    bench.reaches_stack(&syn.with(FIN | ACK, b""));
    assert_eq!(bench.flows(), (1, 0), "one side may still speak");
    bench.leaves_for_client(&came.answer(FIN | ACK, b"the rest"), &syn);
    assert_eq!(bench.flows(), (1, 1));
    let (packets_in, _, packets_out, _) = world::traffic(&bench.memory());
    assert_eq!((packets_in, packets_out), (3, 3));
}

fn a_datagram_to_a_local_backend_is_answered_from_the_virtual_address(bench: &mut Bench<'_>) {
    let question = Frame::datagram(bench.family);
    at_home(bench, &question);
    let came = bench.reaches_stack(&question);
    bench.leaves_for_client(&came.answer(0, b"an answer"), &question);
    bench.reaches_stack(&question);
    assert_eq!(bench.flows(), (1, 0));
}

fn an_unfinished_checksum_is_finished_for_the_stack(bench: &mut Bench<'_>) {
    for protocol in [TCP, UDP] {
        let frame = unfinished(bench, protocol);
        let came = bench.reaches_stack(&frame);
        assert_eq!(came.check, Check::Right);
    }
}

fn an_unfinished_checksum_stays_so_for_the_stack_in_generic_mode(bench: &mut Bench<'_>) {
    let settings = bench.memory().settings;
    settings.partial_checksums.store(lb_common::layout::KEEP_PARTIAL);
    for protocol in [TCP, UDP] {
        let frame = unfinished(bench, protocol);
        let came = bench.reaches_stack(&frame);
        assert_eq!(came.check, Check::Partial);
    }
}

fn an_unfinished_checksum_of_an_answer_stays_so(bench: &mut Bench<'_>) {
    for protocol in [TCP, UDP] {
        let frame = unfinished(bench, protocol);
        let came = bench.reaches_stack(&frame);
        let answer = Frame {
            check: Check::Partial,
            ..came.answer(SYN | ACK, b"")
        };
        bench.leaves_for_client(&answer, &frame);
    }
}

/// The first packet of a flow to a local backend, its checksum left to a NIC.
fn unfinished(bench: &Bench<'_>, protocol: u8) -> Frame {
    let frame = if protocol == TCP {
        Frame::syn(bench.family)
    } else {
        Frame::datagram(bench.family)
    };
    at_home(bench, &frame);
    Frame {
        check: Check::Partial,
        ..frame
    }
}

fn a_datagram_without_a_checksum_stays_so_both_ways(bench: &mut Bench<'_>) {
    let question = Frame {
        check: Check::Absent,
        ..Frame::datagram(bench.family)
    };
    at_home(bench, &question);
    let came = bench.reaches_stack(&question);
    let answer = Frame {
        check: Check::Absent,
        ..came.answer(0, b"an answer")
    };
    bench.leaves_for_client(&answer, &question);
}

fn a_last_hop_is_enough_to_reach_a_local_backend(bench: &mut Bench<'_>) {
    let mut syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    syn.ttl = 1;
    bench.reaches_stack(&syn);
}

fn a_packet_that_comes_in_as_a_local_backends_answer_is_left_alone(bench: &mut Bench<'_>) {
    let mut syn = Frame::syn(bench.family);
    // A port that packets from outside are looked up for.
    syn.from.set_port(world::POOL);
    at_home(bench, &syn);
    let came = bench.reaches_stack(&syn);
    let mut forged = came.answer(SYN | ACK, b"");
    forged.interface = FRONT;
    bench.passes(&forged, Reason::NotForService);
}

fn what_a_local_backend_says_to_others_leaves_untouched(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let came = bench.reaches_stack(&syn);
    bench.leaves_untouched(&came.sent_from(50_000).answer(SYN | ACK, b""));
}

fn what_leaves_from_other_ports_is_not_looked_at(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let came = bench.reaches_stack(&syn);
    bench.leaves_untouched(&came.sent_to(9).answer(SYN | ACK, b""));
    bench.leaves_untouched(&syn);
}

fn two_virtual_addresses_of_a_local_backend_take_the_same_client(bench: &mut Bench<'_>) {
    let first = Frame::syn(bench.family);
    let second = first.sent_to(SECOND_PORT);
    at_home(bench, &first);
    at_home(bench, &second);
    // The second service has the first one's backend.
    let memory = bench.memory();
    let [one, other] =
        [&first, &second].map(|syn| &memory.backends[bench.family.row(TCP, syn.to.port()) as usize]);
    other.port.store(one.port.load());
    let came = bench.reaches_stack(&first);
    let by_port = bench.reaches_stack_from(&second, world::POOL);
    bench.leaves_for_client(&came.answer(SYN | ACK, b""), &first);
    bench.leaves_for_client(&by_port.answer(SYN | ACK, b""), &second);
}

fn a_local_backends_flow_stays_its_own_when_it_moves_away(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let came = bench.reaches_stack(&syn);
    let row = bench.family.row(syn.protocol, syn.to.port());
    bench.memory().backends[row as usize].local.store(0);
    bench.reaches_stack(&syn.with(ACK, b"still here"));
    bench.leaves_for_client(&came.answer(ACK, b""), &syn);
    bench.reaches_backend(&syn.sent_from(50_000));
}

fn a_flow_to_a_local_backend_takes_a_place_and_gives_it_back(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let row = bench.family.row(syn.protocol, syn.to.port());
    let came = bench.reaches_stack(&syn);
    assert_eq!(world::active(&bench.memory(), row), 1);
    bench.leaves_for_client(&came.answer(FIN | ACK, b""), &syn);
    bench.reaches_stack(&syn.with(FIN | ACK, b""));
    assert_eq!(world::active(&bench.memory(), row), 0);
}

fn a_client_of_a_local_backend_that_is_down_gets_rst(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    bench.reaches_stack(&syn);
    let row = bench.family.row(syn.protocol, syn.to.port());
    world::choices(&bench.memory(), row, &[]);
    world::ends(&bench.memory(), row, true);
    bench.resets(&syn.with(ACK, b"SELECT 1"), Reason::BackendDown);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_connection_that_a_local_backend_does_not_take_goes_to_another(bench: &mut Bench<'_>) {
    let syn = Frame::syn(bench.family);
    at_home(bench, &syn);
    let [row, other] = [syn.to.port(), SECOND_PORT].map(|port| bench.family.row(syn.protocol, port));
    let retries = Retries {
        most: 1,
        hides_refusals: false,
    };
    world::retries(&bench.memory(), row, retries);
    bench.reaches_stack(&syn);
    world::choices(&bench.memory(), row, &[row, other]);
    world::age(&bench.memory(), SECOND);
    bench.reaches_backend_of(&syn, other);
}

fn errors_about_a_local_backends_answers_reach_the_stack(bench: &mut Bench<'_>) {
    let family = bench.family;
    let sent = Frame::syn(family);
    at_home(bench, &sent);
    let came = bench.reaches_stack(&sent);
    let answer = came.answer(SYN | ACK, b"an answer");
    bench.leaves_for_client(&answer, &sent);
    let left = Frame {
        from: sent.to,
        to: sent.from,
        ..answer.clone()
    };
    for (kind, rest) in icmp::errors(family) {
        // The last hop is enough for them, too.
        let error = Frame {
            ttl: 1,
            ..sent.clone()
        }
        .icmp(kind, rest, &left.quote(548));
        let expected = Frame {
            ttl: 1,
            ..came.clone()
        }
        .icmp(kind, rest, &answer.quote(548));
        let outcome = bench.send(&error, FRONT);
        let verdict = (outcome.verdict, outcome.reason);
        assert_eq!(verdict, ("pass", Some(Reason::Local)));
        assert_eq!(outcome.bytes, expected);
    }
}
