//! What is shown of packets to who watches, and of which.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    Reason, V6, Verdict,
    address::{AddressCell as _, TCP, UDP},
    memory::Memory,
    watch::{Moment, Sighting},
    wire::{ACK, SYN},
};

use crate::{
    engine::{Core, Engine as _, Forwarded},
    frame::Frame,
    rows::long_way::tagged,
    world::{self, BACK, BACK_MAC, BACKEND_MAC, Family, PORT, SECOND, SECOND_PORT},
};

/// An engine in the standard world that shows all packets.
fn watched() -> Core {
    let core = Core::watched();
    world::set_up(&core.memory());
    core
}

/// A packet as it was shown, twice.
struct Seen {
    before: (Sighting, Vec<u8>),
    after: (Sighting, Vec<u8>),
}

/// Gives the engine a frame, which is shown or not.
fn sees(core: &mut Core, frame: &[u8], interface: u32) -> (Option<Seen>, Forwarded) {
    let forwarded = core.forward(frame, interface);
    let mut shown = core.take_shown().into_iter();
    let seen = match (shown.next(), shown.next(), shown.next()) {
        (Some(before), Some(after), None) => Some(Seen { before, after }),
        (None, None, None) => None,
        _ => panic!("a packet is shown twice or not at all"),
    };
    (seen, forwarded)
}

fn is_shown(core: &mut Core, frame: &Frame) -> bool {
    let (seen, _) = sees(core, &frame.bytes(), frame.interface);
    seen.is_some_and(|seen| seen.after.0.wanted != 0)
}

/// Rows plus one, as sightings and filters have them.
fn row(family: Family, protocol: u8, port: u16) -> u32 {
    family.row(protocol, port) + 1
}

/// Asks for a client.
fn of_client(memory: &Memory<'_>, address: IpAddr) {
    memory.watch.client.store(world::mapped(address));
    memory.watch.mask.store(V6([u64::MAX; 2]));
}

/// The answer of the backend to a frame that was forwarded.
fn answer(family: Family, left: &[u8], syn: &Frame) -> Frame {
    let port = syn.transport_offset();
    let source = SocketAddr::new(family.source(), u16::from_be_bytes([left[port], left[port + 1]]));
    let left = Frame {
        interface: BACK,
        from_mac: BACK_MAC,
        to_mac: BACKEND_MAC,
        from: source,
        to: family.backend(),
        ..syn.clone()
    };
    left.answer(SYN | ACK, b"")
}

#[test]
fn a_new_connection_is_shown_as_it_comes_and_as_it_leaves() {
    for family in Family::ALL {
        let mut core = watched();
        let syn = Frame::syn(family);
        let (seen, forwarded) = sees(&mut core, &syn.bytes(), syn.interface);
        let Seen { before, after } = seen.expect("it is shown");
        let (sighting, bytes) = before;
        assert_eq!(bytes, syn.bytes());
        assert_eq!((sighting.moment, sighting.number), (Moment::BEFORE.0, 0));
        assert_eq!(sighting.interface, syn.interface);
        assert_eq!(sighting.length, bytes.len() as u64);
        let service = row(family, TCP, PORT);
        assert_eq!(
            (sighting.service, sighting.backend),
            (service, 0),
            "nobody is chosen"
        );
        let (sighting, bytes) = after;
        assert_eq!(bytes, forwarded.bytes, "what was sent");
        assert_eq!((sighting.moment, sighting.number), (Moment::AFTER.0, 0));
        assert_eq!((sighting.service, sighting.backend), (service, service));
        assert_eq!((sighting.reason(), sighting.wanted), (None, 1));
        assert_eq!(Verdict::NAMES[sighting.verdict as usize], "redirect");
    }
}

#[test]
fn a_backends_answers_are_packets_of_their_client() {
    for family in Family::ALL {
        let mut core = watched();
        of_client(&core.memory(), family.client().ip());
        core.memory()
            .watch
            .client_port
            .store(u32::from(family.client().port()));
        let syn = Frame::syn(family);
        let (seen, forwarded) = sees(&mut core, &syn.bytes(), syn.interface);
        assert!(seen.is_some());
        let answer = answer(family, &forwarded.bytes, &syn);
        let (seen, forwarded) = sees(&mut core, &answer.bytes(), answer.interface);
        let Seen { before, after } = seen.expect("an answer to the client");
        assert_eq!((before.0.number, after.0.number), (1, 1));
        assert_eq!(before.0.backend, row(family, TCP, PORT), "known by its flow");
        assert_eq!(after.1, forwarded.bytes);
        assert!(!is_shown(&mut core, &syn.sent_from(40_001)), "another port");
        of_client(&core.memory(), family.neighbour(9));
        assert!(!is_shown(&mut core, &answer), "an answer to another client");
    }
}

#[test]
fn only_the_services_packets_are_shown() {
    for family in Family::ALL {
        let mut core = watched();
        core.memory().watch.services[1].store(row(family, TCP, SECOND_PORT));
        let syn = Frame::syn(family);
        assert!(!is_shown(&mut core, &syn));
        assert!(!is_shown(&mut core, &Frame::datagram(family)));
        assert!(!is_shown(&mut core, &syn.sent_to(9999)), "nobody's");
        assert!(is_shown(&mut core, &syn.sent_to(SECOND_PORT)));
        core.memory().watch.services[0].store(row(family, UDP, PORT));
        assert!(is_shown(&mut core, &Frame::datagram(family)), "two rows");
    }
}

#[test]
fn a_new_flow_is_of_the_backend_that_it_goes_to() {
    for family in Family::ALL {
        let mut core = watched();
        core.memory().watch.backend.store(row(family, TCP, SECOND_PORT));
        let syn = Frame::syn(family);
        assert!(!is_shown(&mut core, &syn), "it goes to another");
        assert!(is_shown(&mut core, &syn.sent_to(SECOND_PORT)));
        let again = syn.sent_to(SECOND_PORT).with(ACK, b"");
        assert!(is_shown(&mut core, &again), "and its flow is known");
    }
}

#[test]
fn what_is_refused_says_why() {
    for family in Family::ALL {
        let mut core = watched();
        world::choices(&core.memory(), family.row(TCP, PORT), &[]);
        let syn = Frame::syn(family);
        let stray = Frame::syn(family).with(ACK, b"");
        for (frame, verdict, reason, service) in [
            (&syn, "drop", Reason::NoBackend, row(family, TCP, PORT)),
            (&syn.sent_to(9999), "pass", Reason::NotForService, 0),
            (&stray, "tx", Reason::NoFlow, row(family, TCP, PORT)),
        ] {
            let (seen, _) = sees(&mut core, &frame.bytes(), frame.interface);
            let (sighting, _) = seen.expect("it is shown").after;
            assert_eq!(sighting.reason(), Some(reason));
            assert_eq!(Verdict::NAMES[sighting.verdict as usize], verdict);
            assert_eq!(sighting.service, service);
        }
        let (seen, _) = sees(&mut core, &[0; 5], syn.interface);
        assert_eq!(
            seen.expect("whatever it is").after.0.reason(),
            Some(Reason::Malformed)
        );
    }
}

#[test]
fn an_error_is_about_a_flow_and_tags_hide_nothing() {
    let family = Family::V4;
    let mut core = watched();
    core.memory().watch.services[0].store(row(family, TCP, PORT));
    let syn = Frame::syn(family);
    let (_, forwarded) = sees(&mut core, &syn.bytes(), syn.interface);
    let quote = &forwarded.bytes[14..];
    let router = Frame {
        from: SocketAddr::new(family.backend().ip(), 0),
        to: SocketAddr::new(family.source(), 0),
        ..answer(family, &forwarded.bytes, &syn)
    };
    let error = router.icmp((3, 1), [0; 4], quote);
    let (seen, _) = sees(&mut core, &error, BACK);
    assert_eq!(
        seen.expect("it is about a flow").after.0.backend,
        row(family, TCP, PORT)
    );
    let tagged = tagged(&syn.bytes(), &[0x81, 0, 0, 7]);
    let (seen, _) = sees(&mut core, &tagged, syn.interface);
    assert_eq!(
        seen.expect("it is to the service").after.0.service,
        row(family, TCP, PORT)
    );
}

#[test]
fn so_many_are_shown_each_second_and_the_others_counted() {
    let mut core = watched();
    core.memory().watch.rate.store(3);
    let syn = Frame::syn(Family::V4);
    let shown = |core: &mut Core| (0..10).filter(|_| is_shown(core, &syn)).count();
    let now = core.now();
    assert_eq!(shown(&mut core), 3);
    assert_eq!(core.memory().notes[0].unshown.load(), 7);
    core.set_now(now + SECOND);
    assert_eq!(shown(&mut core), 3);
    assert_eq!(core.memory().notes[0].unshown.load(), 14);
    assert_eq!(core.memory().notes[0].sightings.load(), 6);
}

#[test]
fn a_watch_ends_by_the_packet_paths_own_clock() {
    let mut core = watched();
    let now = core.now();
    core.memory().watch.until.store(now + 2 * SECOND);
    let syn = Frame::syn(Family::V4);
    core.set_now(now + 2 * SECOND);
    assert!(is_shown(&mut core, &syn));
    core.set_now(now + 2 * SECOND + 1);
    assert!(!is_shown(&mut core, &syn));
    assert_eq!(
        core.memory().watch.number.load(),
        0,
        "nor when the clock has wrapped round"
    );
}

#[test]
fn no_more_of_a_frame_is_shown_than_is_asked_for() {
    let mut core = watched();
    core.memory().watch.length.store(60);
    let frame = Frame::syn(Family::V4).with(SYN, &[7; 1000]);
    let (seen, _) = sees(&mut core, &frame.bytes(), frame.interface);
    let (sighting, bytes) = seen.expect("it is shown").before;
    assert_eq!(bytes, frame.bytes()[..60]);
    assert_eq!(sighting.length, frame.bytes().len() as u64);
}
