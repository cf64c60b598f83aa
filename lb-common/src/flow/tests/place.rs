//! Where keys stand.

use std::collections::HashSet;

use super::fixture::heap;
use crate::{
    address::{Port, TCP, Tuple, V4},
    flow::{
        ENTRIES,
        place::{Place, place},
    },
    memory::Heap,
};

/// Buckets of a block.
const BLOCK: u32 = 128;

fn seeded(buckets: u32, seed: u64) -> Heap {
    let heap = heap(buckets, 1);
    heap.memory().settings.seed.store(seed);
    heap
}

/// A connection of a client to a service.
fn key(client: u32, port: u16) -> Tuple<V4> {
    Tuple {
        src: V4(client.to_be_bytes()),
        dst: V4([198, 51, 100, 1]),
        src_port: Port::new(port),
        dst_port: Port::new(3306),
    }
}

#[test]
fn connections_of_one_moment_share_a_block_and_no_bucket() {
    for seed in [0, 1, 0x1234_5678_9abc_def0] {
        let heap = seeded(1 << 16, seed);
        let settings = heap.memory().settings;
        for of_answers in [false, true] {
            let places = (0xa700_u16..0xa800).step_by(2).map(|port| {
                let key = key(0xc000_0201, port);
                let key = if of_answers { key.reversed() } else { key };
                place(settings, &key, TCP)
            });
            let places: Vec<Place> = places.collect();
            let firsts: HashSet<u32> = places.iter().map(|place| place.buckets[0]).collect();
            let blocks: HashSet<u32> = firsts.iter().map(|bucket| bucket / BLOCK).collect();
            let tags: HashSet<u32> = places.iter().map(|place| place.tag).collect();
            assert_eq!(
                (firsts.len(), blocks.len(), tags.len()),
                (128, 1, 128),
                "{seed:#x}"
            );
        }
    }
}

#[test]
fn the_other_bucket_is_another_one_and_in_another_block() {
    for buckets in (1..=16).map(|bits| 1_u32 << bits) {
        let heap = seeded(buckets, 7);
        for port in 1..=u16::MAX {
            let [first, second] = place(heap.memory().settings, &key(1, port), TCP).buckets;
            assert!(first < buckets && second < buckets && first != second);
            assert!(first / BLOCK != second / BLOCK || buckets <= BLOCK);
        }
    }
}

/// How many of a thousand keys, of clients or of answers to them, find no room while a table is filled to the half that it is
/// made for.
fn refused(seed: u64, of_answers: bool, connections: u16, step: u16) -> u32 {
    const BUCKETS: u32 = 1 << 14;
    let heap = seeded(BUCKETS, seed);
    let mut free = vec![ENTRIES; BUCKETS as usize];
    let half = BUCKETS * 2;
    let keys = (0_u32..).flat_map(|client| {
        // Clients' addresses and first ports, in no order.
        let number = client.wrapping_mul(0x9e37_79b1);
        let [first, ..] = number.to_le_bytes().map(u16::from);
        (0..connections).map(move |n| key(number, (first << 8).wrapping_add(n.wrapping_mul(step))))
    });
    let without = keys.take(half as usize).filter(|key| {
        let key = if of_answers { &key.reversed() } else { key };
        let places = place(heap.memory().settings, key, TCP).buckets;
        let found = places.into_iter().find(|bucket| free[*bucket as usize] > 0);
        found.map(|bucket| free[bucket as usize] -= 1).is_none()
    });
    let without = u32::try_from(without.count()).unwrap();
    without * 1000 / half
}

/// However many connections clients have, or source addresses of full NAT, and whether their ports are of one parity.
#[test]
fn neither_clients_nor_answers_crowd_a_table() {
    const CLIENTS: [(u16, u16); 7] = [
        (1, 1),
        (16, 2),
        (200, 2),
        (1000, 2),
        (1000, 1),
        (30_000, 2),
        (31_744, 1),
    ];
    for (connections, step) in CLIENTS {
        for seed in [0, 1, 0x1234_5678_9abc_def0] {
            for of_answers in [false, true] {
                let refused = refused(seed, of_answers, connections, step);
                assert!(
                    refused < 10,
                    "{connections} connections, every {step}th port, answers {of_answers}, seed {seed:#x}: {refused}"
                );
            }
        }
    }
}
