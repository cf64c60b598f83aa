//! Costs that do not depend on the machine must not grow unnoticed. `cargo xtask bench` tells what they are.

use lab::bench::{flows::bytes_per_flow, kernel::SMALLEST, packet, timing::Effort};
use lb_common::{V4, V6};
use lb_user::dataplane::Object;

/// Instructions that the verifier may look at; its own limit is a million.
const MOST_VERIFIED: u32 = 150_000;

/// Bytes of table per IPv4 flow that it is made for: two entries, half of it empty, rounded up to a power of two.
const MOST_BYTES_V4: f64 = 256.0;
/// As much for IPv6.
const MOST_BYTES_V6: f64 = 512.0;

/// An established flow's packet, as a multiple of a program that does nothing. About 3 in truth: machines differ, and
/// this one may be busy.
const MOST_TIMES_FLOOR: f64 = 8.0;

#[test]
fn the_verifier_has_no_more_to_do() {
    let mut object = Object::load(&SMALLEST).unwrap();
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
    for (bytes, most) in [
        (bytes_per_flow::<V4>(FLOWS), MOST_BYTES_V4),
        (bytes_per_flow::<V6>(FLOWS), MOST_BYTES_V6),
    ] {
        assert!(bytes <= most, "{bytes} bytes per flow are more than {most}");
    }
}

#[test]
fn an_established_packet_takes_no_longer() {
    let effort = Effort {
        rounds: 20,
        repeat: 20_000,
    };
    let (floor, above) = packet::established(effort).unwrap();
    let times = (floor + above) / floor;
    println!("established: {above} ns above a floor of {floor} ns, {times:.1} times the floor");
    assert!(
        times <= MOST_TIMES_FLOOR,
        "an established packet takes {times:.1} times the floor of {floor} ns, more than {MOST_TIMES_FLOOR}"
    );
}
