//! SYNs that are answered with cookies, and the flows that clients open by them.

use lb_common::{
    Reason,
    layout::{COMPLETE_PARTIAL, KEEP_PARTIAL, Retries},
    manner::Manner,
    wire::{ACK, FIN, RST, SYN},
};

use super::rows;
use crate::{
    bench::Bench,
    frame::{Check, Frame},
    world::{self, BACK, FRONT, Family},
};

rows! {
    a_syn_is_answered_with_a_cookie_and_opens_nothing: v4 v6;
    syns_are_answered_only_while_many_flows_are_half_open: v4 v6;
    whoever_acknowledges_a_cookie_has_his_syn_sent_to_a_backend: v4 v6;
    the_backend_hears_how_large_segments_may_be: v4 v6;
    a_cookie_of_another_flow_is_worth_nothing: v4 v6;
    a_cookie_is_worth_nothing_when_it_is_old: v4 v6;
    a_question_for_the_window_proves_a_cookie_too: v4 v6;
    the_backends_answer_opens_the_clients_window_and_has_it_acknowledge: v4 v6;
    numbers_are_each_ends_own: v4 v6;
    numbers_wrap_around: v4 v6;
    checksums_that_a_nic_finishes_stay_for_it: v4 v6;
    segments_of_our_own_are_left_to_the_nic_that_would_finish_the_senders: v4 v6;
    a_client_that_keeps_its_address_is_served_too: v4 v6;
    a_connection_ends_by_fin: v4 v6;
    a_reset_has_the_number_that_its_receiver_expects: v4 v6;
    a_refusal_is_a_reset_that_the_client_heeds: v4 v6;
    a_client_that_asks_again_goes_to_another_backend: v4 v6;
    nothing_passes_before_the_backend_has_answered: v4 v6;
    a_client_of_a_backend_that_is_down_gets_its_own_number: v4 v6;
    a_service_without_backends_promises_none: v4 v6;
    a_backend_on_this_host_takes_no_such_flow: v4 v6;
    errors_quote_numbers_that_their_receiver_knows: v4 v6;
    a_new_syn_after_the_end_is_answered_anew: v4 v6;
}

/// A SYN to a service that answers all of them with cookies.
pub(super) fn flooded(bench: &Bench<'_>) -> Frame {
    let syn = Frame {
        tcp_options: size(1460),
        ..Frame::syn(bench.family)
    };
    world::cookies(&bench.memory(), row(bench, &syn), 0);
    syn
}

fn row(bench: &Bench<'_>, frame: &Frame) -> u32 {
    bench.family.row(frame.protocol, frame.to.port())
}

/// The option that says how large segments may be.
fn size(most: u16) -> Vec<u8> {
    [[2, 4], most.to_be_bytes()].concat()
}

/// Expects a SYN to be answered with a cookie.
pub(super) fn cookie(bench: &mut Bench<'_>, syn: &Frame) -> u32 {
    let outcome = bench.send(&syn.bytes(), syn.interface);
    assert_eq!((outcome.verdict, outcome.reason), ("tx", Some(Reason::SynCookie)));
    let place = syn.transport_offset() + 4;
    let number = outcome.bytes[place..place + 4].try_into().expect("four bytes");
    let cookie = u32::from_be_bytes(number);
    let largest = if bench.family == Family::V4 { 1460 } else { 1440 };
    let expected = Frame {
        interface: FRONT,
        ttl: 64,
        flow_label: 0,
        seq: cookie,
        ack: syn.seq.wrapping_add(1),
        window: 0,
        tcp_options: size(largest),
        ..syn.answer(SYN | ACK, b"")
    };
    assert_eq!(outcome.bytes, expected.bytes(), "the answer to {syn:?}");
    cookie
}

/// What a client says next that has got a cookie.
pub(super) fn next(syn: &Frame, cookie: u32, flags: u8, data: &[u8]) -> Frame {
    Frame {
        seq: syn.seq.wrapping_add(1),
        ack: cookie.wrapping_add(1),
        tcp_options: Vec::new(),
        ..syn.with(flags, data)
    }
}

/// The SYN that a segment stands for.
fn meant(syn: &Frame, asked: u16) -> Frame {
    Frame {
        ttl: 64,
        flow_label: 0,
        tcp_options: size(asked),
        ..syn.clone()
    }
}

/// A flow that a cookie has opened.
pub(super) struct Opened {
    syn: Frame,
    cookie: u32,
    /// The SYN as the backend got it.
    left: Frame,
}

pub(super) fn open(bench: &mut Bench<'_>, syn: &Frame) -> Opened {
    let cookie = cookie(bench, syn);
    let row = row(bench, syn);
    let left = bench.reaches_backend_as(&next(syn, cookie, ACK, b""), &meant(syn, 1460), row);
    Opened {
        syn: syn.clone(),
        cookie,
        left,
    }
}

impl Opened {
    /// The backend's SYN-ACK.
    fn accepted(&self, number: u32) -> Frame {
        Frame {
            seq: number,
            ack: self.syn.seq.wrapping_add(1),
            window: 0x1234,
            tcp_options: size(1460),
            ..self.left.answer(SYN | ACK, b"")
        }
    }

    /// What the client gets for it.
    fn reminder(&self, accepted: &Frame) -> Frame {
        Frame {
            seq: self.cookie,
            ttl: 64,
            flow_label: 0,
            tcp_options: Vec::new(),
            ..accepted.with(ACK, &[0])
        }
    }

    /// Backend and client have heard of each other.
    fn established(self, bench: &mut Bench<'_>, number: u32) -> Connection {
        let accepted = self.accepted(number);
        bench.reaches_client_as(&accepted, &self.reminder(&accepted), &self.syn);
        let connection = Connection { opened: self, number };
        connection.client_says(bench, ACK, b"");
        connection
    }
}

/// A connection through a spliced flow.
struct Connection {
    opened: Opened,
    /// The backend's initial sequence number.
    number: u32,
}

impl Connection {
    fn client_says(&self, bench: &mut Bench<'_>, flags: u8, data: &[u8]) {
        let said = next(&self.opened.syn, self.opened.cookie, flags, data);
        self.passes(bench, &said);
    }

    /// Expects a client's segment to reach the backend with the backend's own number acknowledged.
    fn passes(&self, bench: &mut Bench<'_>, said: &Frame) {
        let heard = Frame {
            ack: self.number.wrapping_add(1),
            ..said.clone()
        };
        let row = row(bench, said);
        let left = bench.reaches_backend_as(said, &heard, row);
        assert_eq!(left.from, self.opened.left.from, "by the same source port");
    }

    /// A segment of the backend.
    fn answer(&self, flags: u8, data: &[u8]) -> Frame {
        Frame {
            seq: self.number.wrapping_add(1),
            ack: self.opened.syn.seq.wrapping_add(1),
            ..self.opened.left.answer(flags, data)
        }
    }

    /// Expects a backend's segment to reach the client with the number that follows the cookie.
    fn backend_says(&self, bench: &mut Bench<'_>, said: &Frame) {
        let heard = Frame {
            seq: self.opened.cookie.wrapping_add(1),
            ..said.clone()
        };
        bench.reaches_client_as(said, &heard, &self.opened.syn);
    }
}

fn a_syn_is_answered_with_a_cookie_and_opens_nothing(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let first = cookie(bench, &syn);
    assert_eq!(cookie(bench, &syn), first, "the same SYN in the same minute");
    assert_ne!(cookie(bench, &syn.sent_from(40_001)), first);
    let without = Frame {
        tcp_options: Vec::new(),
        ..syn.clone()
    };
    assert_ne!(
        cookie(bench, &without),
        first,
        "it says how large segments may be"
    );
    assert_eq!(bench.flows(), (0, 0));
}

fn syns_are_answered_only_while_many_flows_are_half_open(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), world::POOL, 100);
    let syn = flooded(bench);
    world::cookies(&bench.memory(), row(bench, &syn), 2);
    let first = bench.reaches_backend(&syn);
    bench.reaches_backend(&syn.sent_from(40_001));
    cookie(bench, &syn.sent_from(40_002));
    bench.reaches_client(&first.answer(SYN | ACK, b""), &syn);
    cookie(bench, &syn.sent_from(40_002));
    // One is established, one is left.
    bench.reaches_backend(&syn.with(ACK, b""));
    let third = bench.reaches_backend(&syn.sent_from(40_002));
    cookie(bench, &syn.sent_from(40_003));
    // One is refused: it is not half-open either.
    bench.reaches_client(&third.answer(RST | ACK, b""), &syn.sent_from(40_002));
    bench.reaches_backend(&syn.sent_from(40_003));
}

fn whoever_acknowledges_a_cookie_has_his_syn_sent_to_a_backend(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    open(bench, &syn);
    assert_eq!(bench.flows(), (1, 0));
}

fn the_backend_hears_how_large_segments_may_be(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), world::POOL, 100);
    let syn = flooded(bench);
    let row = row(bench, &syn);
    for (port, options, asked) in [
        (40_001, Vec::new(), 536),
        (40_002, size(1459), 1440),
        (40_003, [vec![1, 1], size(9000), vec![3, 3]].concat(), 8960),
        (40_004, vec![8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 536),
    ] {
        let syn = Frame {
            tcp_options: options,
            ..syn.sent_from(port)
        };
        let cookie = cookie(bench, &syn);
        bench.reaches_backend_as(&next(&syn, cookie, ACK, b""), &meant(&syn, asked), row);
    }
}

fn a_cookie_of_another_flow_is_worth_nothing(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let cookie = cookie(bench, &syn);
    let right = next(&syn, cookie, ACK, b"");
    let forged = [
        right.sent_from(40_001),
        Frame {
            ack: right.ack ^ 1 << 30,
            ..right.clone()
        },
        Frame {
            seq: right.seq + 2,
            ..right.clone()
        },
    ];
    for segment in forged {
        bench.resets(&segment, Reason::NoFlow);
    }
    assert_eq!(bench.flows(), (0, 0));
}

fn a_cookie_is_worth_nothing_when_it_is_old(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let cookie = cookie(bench, &syn);
    // Each tick so far was a second.
    bench.memory().settings.second.store(1);
    bench.resets(&next(&syn, cookie, ACK, b""), Reason::NoFlow);
}

fn a_question_for_the_window_proves_a_cookie_too(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let cookie = cookie(bench, &syn);
    // The acknowledgement was lost, and the client has something to say.
    let question = Frame {
        seq: syn.seq,
        ..next(&syn, cookie, ACK, b"")
    };
    let row = row(bench, &syn);
    bench.reaches_backend_as(&question, &meant(&syn, 1460), row);
}

fn the_backends_answer_opens_the_clients_window_and_has_it_acknowledge(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let opened = open(bench, &syn);
    let accepted = opened.accepted(0x0102_0304);
    let reminder = opened.reminder(&accepted);
    bench.reaches_client_as(&accepted, &reminder, &syn);
    // What either said was lost: the backend says it again.
    bench.reaches_client_as(&accepted, &reminder, &syn);
    let connection = Connection {
        opened,
        number: 0x0102_0304,
    };
    connection.client_says(bench, ACK, b"");
    assert_eq!(
        bench.memory().services[row(bench, &syn) as usize]
            .half_open
            .load(),
        0
    );
    assert_eq!(bench.flows(), (1, 0));
}

fn numbers_are_each_ends_own(bench: &mut Bench<'_>) {
    talk(bench, 0x0102_0304);
}

fn numbers_wrap_around(bench: &mut Bench<'_>) {
    for number in [u32::MAX, 0] {
        talk(bench, number);
    }
}

/// A client and a backend that has this initial sequence number, from first to last.
fn talk(bench: &mut Bench<'_>, number: u32) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, number);
    connection.client_says(bench, ACK, b"SELECT 1");
    connection.backend_says(bench, &connection.answer(ACK, b"a row, and another"));
    connection.client_says(bench, ACK, b"odd");
    connection.client_says(bench, RST | ACK, b"");
}

fn checksums_that_a_nic_finishes_stay_for_it(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 7);
    for partial in [COMPLETE_PARTIAL, KEEP_PARTIAL] {
        bench.memory().settings.partial_checksums.store(partial);
        let check = Check::Partial;
        let query = next(&syn, connection.opened.cookie, ACK, b"SELECT 1");
        connection.passes(bench, &Frame { check, ..query });
        let answer = connection.answer(ACK, b"a row");
        connection.backend_says(bench, &Frame { check, ..answer });
    }
}

fn segments_of_our_own_are_left_to_the_nic_that_would_finish_the_senders(bench: &mut Bench<'_>) {
    world::pool(&bench.memory(), world::POOL, 100);
    let check = Check::Partial;
    for (port, partial) in [(40_001, COMPLETE_PARTIAL), (40_002, KEEP_PARTIAL)] {
        bench.memory().settings.partial_checksums.store(partial);
        let syn = flooded(bench).sent_from(port);
        let row = row(bench, &syn);
        let cookie = cookie(bench, &syn);
        let partial = |frame: Frame| Frame { check, ..frame };
        let (said, meant) = (next(&syn, cookie, ACK, b""), meant(&syn, 1460));
        let left = bench.reaches_backend_as(&partial(said), &partial(meant), row);
        let opened = Opened {
            syn: syn.clone(),
            cookie,
            left,
        };
        let accepted = partial(opened.accepted(8));
        bench.reaches_client_as(&accepted, &opened.reminder(&accepted), &syn);
    }
}

fn a_client_that_keeps_its_address_is_served_too(bench: &mut Bench<'_>) {
    world::manner(&bench.memory(), bench.family, Manner::NAT);
    talk(bench, 1);
}

fn a_connection_ends_by_fin(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 0x7fff_ffff);
    connection.client_says(bench, FIN | ACK, b"bye");
    connection.backend_says(bench, &connection.answer(FIN | ACK, b"the rest"));
    assert_eq!(bench.flows(), (1, 1));
    connection.client_says(bench, ACK, b"");
    connection.backend_says(bench, &connection.answer(ACK, b""));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_reset_has_the_number_that_its_receiver_expects(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 9);
    connection.backend_says(bench, &connection.answer(RST, b""));
    assert_eq!(bench.flows(), (1, 1));
    // The client's has a number that needs no change.
    bench.reaches_backend(&next(&syn, connection.opened.cookie, RST, b""));
}

fn a_refusal_is_a_reset_that_the_client_heeds(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let row = row(bench, &syn);
    let hides_refusals = true;
    world::retries(
        &bench.memory(),
        row,
        Retries {
            most: 3,
            hides_refusals,
        },
    );
    let opened = open(bench, &syn);
    let refusal = Frame {
        seq: 0,
        ack: syn.seq + 1,
        ..opened.left.answer(RST | ACK, b"")
    };
    let heard = Frame {
        seq: opened.cookie.wrapping_add(1),
        ..refusal.clone()
    };
    bench.reaches_client_as(&refusal, &heard, &syn);
    assert_eq!(world::not_taken(&bench.memory(), row), (0, 1));
    assert_eq!(bench.flows(), (1, 1));
}

fn a_client_that_asks_again_goes_to_another_backend(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let (first, second) = (
        row(bench, &syn),
        bench.family.row(syn.protocol, world::SECOND_PORT),
    );
    let retries = Retries {
        most: 1,
        hides_refusals: false,
    };
    for backend in [first, second] {
        world::retries(&bench.memory(), backend, retries);
    }
    let opened = open(bench, &syn);
    world::choices(&bench.memory(), first, &[first, second]);
    let question = Frame {
        seq: syn.seq,
        ..next(&syn, opened.cookie, ACK, b"")
    };
    // At once it is the network's copy, and later the client's wish.
    bench.reaches_backend_as(&question, &meant(&syn, 1460), first);
    world::age(&bench.memory(), world::LONG_SECOND / 4);
    let left = bench.reaches_backend_as(&question, &meant(&syn, 1460), second);
    assert_eq!(world::not_taken(&bench.memory(), first), (1, 0));
    let opened = Opened { left, ..opened };
    let accepted = opened.accepted(77);
    bench.reaches_client_as(&accepted, &opened.reminder(&accepted), &syn);
    let heard = Frame {
        ack: 78,
        ..next(&syn, opened.cookie, ACK, b"SELECT 1")
    };
    bench.reaches_backend_as(&next(&syn, opened.cookie, ACK, b"SELECT 1"), &heard, second);
}

fn nothing_passes_before_the_backend_has_answered(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let opened = open(bench, &syn);
    let stray = next(&syn, opened.cookie ^ 1 << 30, ACK, b"");
    bench.drops(&stray, Reason::BeforeAnswer);
    bench.drops(
        &opened.left.answer(ACK, b"of another connection"),
        Reason::BeforeAnswer,
    );
    // A client that does not wait for the window has to say it again.
    let row = row(bench, &syn);
    bench.reaches_backend_as(
        &next(&syn, opened.cookie, ACK, b"SELECT 1"),
        &meant(&syn, 1460),
        row,
    );
    assert_eq!(bench.flows(), (1, 0));
}

fn a_client_of_a_backend_that_is_down_gets_its_own_number(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 5);
    world::ends(&bench.memory(), row(bench, &syn), true);
    let query = next(&syn, connection.opened.cookie, ACK, b"SELECT 1");
    bench.resets(&query, Reason::BackendDown);
    assert_eq!(bench.flows(), (1, 1));
}

fn a_service_without_backends_promises_none(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    world::choices(&bench.memory(), row(bench, &syn), &[]);
    bench.drops(&syn, Reason::NoBackend);
}

fn a_backend_on_this_host_takes_no_such_flow(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let row = row(bench, &syn);
    let cookie = cookie(bench, &syn);
    world::local(&bench.memory(), row);
    let outcome = bench.send(&next(&syn, cookie, ACK, b"").bytes(), FRONT);
    assert_eq!(
        (outcome.verdict, outcome.reason),
        ("drop", Some(Reason::NoBackend))
    );
    // The next flow has nothing to do with it.
    bench.memory().services[row as usize].cookies.store(0);
    bench.reaches_stack(&syn.sent_from(40_001));
}

fn errors_quote_numbers_that_their_receiver_knows(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 0x0102_0304);
    let said = connection.answer(ACK, b"a row");
    connection.backend_says(bench, &said);
    // As the client's network saw it.
    let quoted = Frame {
        seq: connection.opened.cookie.wrapping_add(1),
        from: syn.to,
        to: syn.from,
        ..said.clone()
    };
    let unreachable = if bench.family == Family::V4 {
        (3, 1)
    } else {
        (1, 3)
    };
    let error = syn.icmp(unreachable, [0; 4], &quoted.quote(64));
    let back = Frame {
        interface: BACK,
        from_mac: world::BACK_MAC,
        to_mac: world::BACKEND_MAC,
        from: said.to,
        to: said.from,
        ttl: syn.ttl - 1,
        ..syn.clone()
    };
    let expected = back.icmp(unreachable, [0; 4], &said.quote(64));
    bench.leaves_as((&error, FRONT), (&expected, BACK));
}

fn a_new_syn_after_the_end_is_answered_anew(bench: &mut Bench<'_>) {
    let syn = flooded(bench);
    let connection = open(bench, &syn).established(bench, 3);
    bench.reaches_backend(&next(&syn, connection.opened.cookie, RST, b""));
    cookie(bench, &syn);
    assert_eq!(bench.flows(), (1, 1));
}
