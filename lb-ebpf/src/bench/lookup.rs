//! The flow table beside the kernel's hash tables: same keys, same frames, same order.

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX},
    macros::{map, xdp},
    maps::{HashMap, LruHashMap},
    programs::XdpContext,
};
use lb_common::{
    Tables as _, V4, flow,
    parse::{Parse as _, Segment},
};

use crate::{
    frame,
    maps::{self, Maps},
};

/// A flow's key for the kernel: the two addresses, the ports, the protocol.
type Key = [u32; 4];

/// With a key of 16 bytes this makes as much as an entry of the flow table.
type Value = [u64; 6];

#[map]
static KERNEL_HASH: HashMap<Key, Value> = HashMap::with_max_entries(1, 0);
#[map]
static KERNEL_LRU: LruHashMap<Key, Value> = LruHashMap::with_max_entries(1, 0);

/// Defines a program that looks the frame's key up and then gets the next client's frame.
macro_rules! look_ups {
    ($($(#[$doc:meta])* $name:ident: $look_up:expr;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $name(context: XdpContext) -> u32 {
            let packet = &mut maps::frame(&context);
            let found = V4::parse(packet).ok().map($look_up);
            match (found, frame::next::<frame::V4>(packet)) {
                (Some(true), Some(_)) => XDP_TX,
                (Some(false), Some(_)) => XDP_DROP,
                _ => XDP_ABORTED,
            }
        }
    )*};
}

look_ups! {
    /// Parses, and looks nothing up: what the others here cost besides.
    lookup_none: |segment: Segment<V4>| key(&segment) != [0; 4];
    /// Finds the entry in the flow table.
    lookup_table: |segment: Segment<V4>| Maps.settings().is_some_and(|settings| {
        flow::find::<V4, _>(&Maps, settings, &segment.tuple, segment.protocol)
            .is_ok_and(|hit| hit.is_some())
    });
    /// Finds the entry in the kernel's hash.
    lookup_hash: |segment: Segment<V4>| KERNEL_HASH.get_ptr(key(&segment)).is_some_and(is_set);
    /// Finds the entry in the kernel's LRU hash.
    lookup_lru: |segment: Segment<V4>| KERNEL_LRU.get_ptr(key(&segment)).is_some_and(is_set);
    /// Puts an entry into the kernel's hash.
    insert_hash: |segment: Segment<V4>| KERNEL_HASH.insert(key(&segment), VALUE, 0).is_ok();
    /// Puts an entry into the kernel's LRU hash.
    insert_lru: |segment: Segment<V4>| KERNEL_LRU.insert(key(&segment), VALUE, 0).is_ok();
    /// Removes an entry from the kernel's hash.
    remove_hash: |segment: Segment<V4>| KERNEL_HASH.remove(key(&segment)).is_ok();
    /// Removes an entry from the kernel's LRU hash.
    remove_lru: |segment: Segment<V4>| KERNEL_LRU.remove(key(&segment)).is_ok();
}

const VALUE: Value = [1; 6];

/// Reads of the value what a packet needs of its entry.
#[inline(always)]
fn is_set(value: *const Value) -> bool {
    // SAFETY: a map's value; elements of these maps are allocated once and for all.
    unsafe { value.cast::<u64>().read_volatile() != 0 }
}

#[inline(always)]
fn key(segment: &Segment<V4>) -> Key {
    let ([a, b], [c, d]) = (segment.tuple.src_port.0, segment.tuple.dst_port.0);
    [
        u32::from_ne_bytes(segment.tuple.src.0),
        u32::from_ne_bytes(segment.tuple.dst.0),
        u32::from_ne_bytes([a, b, c, d]),
        u32::from(segment.protocol),
    ]
}
