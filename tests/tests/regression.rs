//! Costs that do not depend on the machine must not grow unnoticed. `cargo xtask bench` tells what they are.

use lab::bench::{packet, timing::Effort};
use lb_common::{V4, V6, flow::Bucket};
use lb_user::dataplane::{Capacity, Object};

/// Instructions that the verifier may look at; its own limit is a million.
const MOST_VERIFIED: u32 = 150_000;

/// Bytes of table per IPv4 flow that it is made for: two entries, half of it empty, rounded up to a power of two.
const MOST_BYTES_V4: usize = 256;
/// As much for IPv6.
const MOST_BYTES_V6: usize = 512;

/// An established flow's packet, as a multiple of a program that does nothing. About 3 in truth: machines differ, and
/// this one may be busy.
const MOST_TIMES_FLOOR: f64 = 8.0;

#[test]
fn the_verifier_has_no_more_to_do() {
    let capacity = Capacity {
        services: 1,
        virtual_addresses: 1,
        choice_slots: 1,
        backends: 1,
        sources: 1,
        flows_v4: 1,
        flows_v6: 1,
        workers: 1,
    };
    let mut object = Object::load(&capacity).unwrap();
    let info = object.program("ballast").unwrap().info().unwrap();
    let verified = info
        .verified_instruction_count()
        .expect("kernels tell this since Linux 5.16");
    assert!(
        verified <= MOST_VERIFIED,
        "{verified} instructions are verified, more than {MOST_VERIFIED}"
    );
}

#[test]
fn a_flow_takes_no_more_memory() {
    const FLOWS: u32 = 1 << 20;
    for (bucket, most) in [
        (size_of::<Bucket<V4>>(), MOST_BYTES_V4),
        (size_of::<Bucket<V6>>(), MOST_BYTES_V6),
    ] {
        let bytes = Capacity::buckets(FLOWS) as usize * bucket / FLOWS as usize;
        assert!(bytes <= most, "{bytes} bytes per flow are more than {most}");
    }
}

#[test]
fn an_established_packet_takes_no_longer() {
    let effort = Effort {
        rounds: 7,
        repeat: 100_000,
    };
    let (floor, above) = packet::established(effort).unwrap();
    let times = (floor + above) / floor;
    println!("established: {above} ns above a floor of {floor} ns, {times:.1} times the floor");
    assert!(
        times <= MOST_TIMES_FLOOR,
        "an established packet takes {times:.1} times the floor of {floor} ns, more than {MOST_TIMES_FLOOR}"
    );
}
