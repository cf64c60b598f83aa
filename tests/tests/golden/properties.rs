//! Packets that nobody thought of, on plain memory.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use lb_common::{
    address::{TCP, UDP},
    wire::{ACK, SYN},
};
use proptest::prelude::*;

use crate::{
    bench::Bench,
    engine::{Core, Outcome},
    frame::{Check, Frame},
    world::{self, FRONT, Family},
};

proptest! {
    /// [`Bench::reaches_backend`] and [`Bench::reaches_client`] compare every byte with a frame that `etherparse` builds.
    #[test]
    fn every_packet_reaches_its_backend_and_the_answer_the_client(packet in client_packet(), answer in answer()) {
        let mut core = Core::new();
        let mut bench = Bench::new(&mut core, packet.0);
        world::pool(&bench.memory(), 1024, 31_744);
        let (sent, (payload, ttl, check)) = (packet.1, answer);
        let left = bench.reaches_backend(&sent);
        let answer = Frame { ttl, check: allowed(check, &sent), ..left.answer(SYN | ACK, &payload) };
        bench.reaches_client(&answer, &sent);
        bench.reaches_backend(&sent.with(ACK, &payload));
    }

    #[test]
    fn of_a_damaged_or_cut_off_packet_nothing_changes_that_is_not_translated(
        packet in client_packet(),
        damage in prop::collection::vec((0_usize..100, any::<u8>()), 0..4),
        length in prop::option::of(0_usize..1600),
    ) {
        let mut core = Core::new();
        let mut bench = Bench::new(&mut core, packet.0);
        bench.reaches_backend(&packet.1);
        let mut bytes = packet.1.bytes();
        for (at, with) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
        }
        bytes.truncate(length.unwrap_or(usize::MAX));
        let outcome = bench.send(&bytes, FRONT);
        assert_only_translated(&bytes, &outcome);
    }

    #[test]
    fn random_bytes_are_left_alone(mut bytes in prop::collection::vec(any::<u8>(), 0..200), ether_type in ether_type()) {
        let mut core = Core::new();
        let mut bench = Bench::new(&mut core, Family::V4);
        if let (Some(ether_type), Some(place)) = (ether_type, bytes.get_mut(12..14)) {
            place.copy_from_slice(&ether_type);
        }
        let outcome = bench.send(&bytes, FRONT);
        assert_only_translated(&bytes, &outcome);
    }
}

/// A first packet of a client to a service of its family.
fn client_packet() -> impl Strategy<Value = (Family, Frame)> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let protocol = prop_oneof![Just(TCP), Just(UDP)];
    let options = prop::collection::vec(any::<[u8; 4]>(), 0..=10);
    let client = (any::<[u8; 16]>(), any::<u16>());
    let values = (family, protocol, options, client, 2_u8.., payload(), check());
    values.prop_map(
        |(family, protocol, options, (address, port), ttl, payload, check)| {
            let mut frame = Frame::to_service(family, protocol).with(SYN, &payload);
            (frame.ttl, frame.check) = (ttl, allowed(check, &frame));
            frame.from.set_port(port);
            match family {
                Family::V4 => {
                    let [a, b, c, d, ..] = address;
                    frame.from.set_ip(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
                    frame.options = options.concat();
                }
                Family::V6 => frame.from.set_ip(IpAddr::V6(Ipv6Addr::from(address))),
            }
            (family, frame)
        },
    )
}

fn answer() -> impl Strategy<Value = (Vec<u8>, u8, Check)> {
    (payload(), 2_u8.., check())
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1400)
}

fn check() -> impl Strategy<Value = Check> {
    prop_oneof![Just(Check::Right), Just(Check::Partial), Just(Check::Absent)]
}

/// Only UDP over IPv4 may do without.
fn allowed(check: Check, frame: &Frame) -> Check {
    if check == Check::Absent && (frame.protocol == TCP || frame.to.is_ipv6()) {
        Check::Right
    } else {
        check
    }
}

fn ether_type() -> impl Strategy<Value = Option<[u8; 2]>> {
    prop_oneof![Just(None), Just(Some([0x08, 0x00])), Just(Some([0x86, 0xdd]))]
}

/// What is not forwarded is as it was; what is forwarded differs only where full NAT writes.
fn assert_only_translated(before: &[u8], outcome: &Outcome) {
    if outcome.verdict == "tx" && outcome.reason.is_some() {
        // An answer is another packet.
        return;
    }
    let after = &outcome.bytes;
    assert_eq!(before.len(), after.len());
    let written = if outcome.reason.is_some() {
        Vec::new()
    } else {
        translated(before)
    };
    for (at, (before, after)) in before.iter().zip(after).enumerate() {
        let may = written.iter().any(|range| range.contains(&at));
        assert!(may || before == after, "byte {at} changed: {outcome:?}");
    }
}

/// Where full NAT writes: MAC addresses, TTL, checksums, addresses and ports.
fn translated(frame: &[u8]) -> Vec<Range<usize>> {
    let ([ttl, addresses], protocol, transport) = if frame[14] >> 4 == 4 {
        // The header checksum stands before the addresses.
        (
            [22..23, 24..34],
            frame[23],
            14 + 4 * usize::from(frame[14] & 0x0f),
        )
    } else {
        ([21..22, 22..54], frame[20], 54)
    };
    let check = transport + if protocol == TCP { 16 } else { 6 };
    vec![0..12, ttl, addresses, transport..transport + 4, check..check + 2]
}
