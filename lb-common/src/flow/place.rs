//! Where a key's entry may stand.
//!
//! Flows that are open at the same time stand near each other. A system that opens connections counts its ports upwards (RFC
//! 6056 3.3.3 to 3.3.5; Linux: `__inet_hash_connect` takes the next of one parity, or one of the seven after that), and
//! source ports for backends are counted by the client's. So keys whose ports differ in the bits of [`OFFSET`] alone share a
//! block of buckets, each in one of its own: what the CPU has to read of the page table to find one of them, it has read
//! for another a moment ago. A block of IPv4 is eight pages, whose page table entries are one cache line.

use crate::{
    address::{Address, Port, TCP, Tuple, UDP},
    hash,
    layout::Settings,
};

/// The bits of a port's last byte that say where in a block. Not the lowest: the ports of one client's connections are of one
/// parity, as long as Linux finds any (`ip_local_port_range` in its ip-sysctl.rst).
const OFFSET: u8 = 0b1111_1110;

/// Bits of the offset in a block.
const BLOCK_BITS: u32 = OFFSET.count_ones();

/// How far a tag is shifted to say where its key's other bucket is: among sixteen blocks.
const NEAR_SHIFT: u32 = u32::BITS - BLOCK_BITS - 4;

/// A key's two buckets and its tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) buckets: [u32; 2],
    pub(super) tag: u32,
}

#[inline(always)]
pub(super) fn place<A: Address>(settings: &Settings, key: &Tuple<A>, protocol: u8) -> Place {
    let hash = block(key).hash(settings.seed.load());
    let mask = if A::IS_V6 {
        &settings.bucket_mask_v6
    } else {
        &settings.bucket_mask_v4
    }
    .load();
    // Of two keys that differ in nothing but their protocol both would do with one bucket, but not with one tag. And by its
    // last bits none is 0.
    const { assert!(TCP & 0b11 != UDP & 0b11 && TCP & 0b11 != 0 && UDP & 0b11 != 0) };
    let tag = hash::low(hash::mix(hash, u64::from(key.ports()))) & !0b11 | u32::from(protocol & 0b11);
    let first = (hash::high(hash) ^ offset(key)) & mask;
    // The other bucket by the tag (cuckoo hashing's partial keys). In another block, since all buckets of one fill evenly; and
    // odd, so that it is another one in a table of two, too. Near by all the same: a packet that opens a flow looks at both.
    let second = (first ^ (tag >> NEAR_SHIFT | 1 << BLOCK_BITS | 1)) & mask;
    Place {
        buckets: [first, second],
        tag,
    }
}

/// A hash of a key that its entry has, too: the tag of its control word.
#[inline(always)]
pub(crate) fn tag<A: Address>(settings: &Settings, key: &Tuple<A>, protocol: u8) -> u32 {
    place(settings, key, protocol).tag
}

/// What a key has in common with all that share its block.
#[inline(always)]
fn block<A: Address>(key: &Tuple<A>) -> Tuple<A> {
    const fn rest(Port([first, last]): Port) -> Port {
        Port([first, last & !OFFSET])
    }
    Tuple {
        src_port: rest(key.src_port),
        dst_port: rest(key.dst_port),
        ..*key
    }
}

/// Where in its block a key's first bucket is. A client's key has the client's port as its source, an answer's one of ours as its
/// destination; the other port is the same for all of them.
#[inline(always)]
fn offset<A: Address>(key: &Tuple<A>) -> u32 {
    let bits = (key.src_port.0[1] ^ key.dst_port.0[1]) & OFFSET;
    u32::from(bits) >> OFFSET.trailing_zeros()
}
