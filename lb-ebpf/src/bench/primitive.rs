//! What single look-ups and helpers cost.

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_TX},
    helpers::{
        bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_redirect,
    },
    macros::{map, xdp},
    maps::{Array, HashMap, LruHashMap, PerCpuArray},
    programs::XdpContext,
};
use lb_common::shared::Shared;

/// Keys of two IPv4 flows' worth, and of one IPv6 flow's.
type Short = [u64; 2];
type Long = [u64; 5];

/// Entries of each table, of which one is used: what is measured is the look-up and not the memory.
const ENTRIES: u32 = 1024;

#[map]
static ARRAY: Array<u64> = Array::with_max_entries(ENTRIES, 0);
#[map]
static PER_CPU_ARRAY: PerCpuArray<u64> = PerCpuArray::with_max_entries(ENTRIES, 0);
#[map]
static SHORT_HASH: HashMap<Short, u64> = HashMap::with_max_entries(ENTRIES, 0);
#[map]
static LONG_HASH: HashMap<Long, u64> = HashMap::with_max_entries(ENTRIES, 0);
#[map]
static LRU_HASH: LruHashMap<Short, u64> = LruHashMap::with_max_entries(ENTRIES, 0);

/// The key that is there, and one that is not.
const SHORT: Short = [1, 2];
const LONG: Long = [1, 2, 3, 4, 5];
const ABSENT: Short = [9, 9];

/// Defines a program that does one thing and returns `XDP_TX` if that went as it should.
macro_rules! primitives {
    ($($(#[$doc:meta])* $name:ident: $went_well:expr;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $name(_context: XdpContext) -> u32 {
            if $went_well { XDP_TX } else { XDP_ABORTED }
        }
    )*};
}

primitives! {
    /// Look-up in an array.
    array: ARRAY.get(7).is_some_and(|value| *value == 0);
    /// Look-up in a per-CPU array.
    per_cpu_array: PER_CPU_ARRAY.get(7).is_some_and(|value| *value == 0);
    /// Compare-and-swap in an array.
    compare_and_swap: ARRAY.get_ptr(7).is_some_and(swap_zero);
    /// Hit in a hash with a key of 16 bytes.
    hash_hit: SHORT_HASH.get_ptr(SHORT).is_some();
    /// Miss there.
    hash_miss: SHORT_HASH.get_ptr(ABSENT).is_none();
    /// Update of an entry there.
    hash_update: SHORT_HASH.insert(SHORT, 1, 0).is_ok();
    /// Hit in a hash with a key of 40 bytes.
    long_hash_hit: LONG_HASH.get_ptr(LONG).is_some();
    /// Update of an entry there.
    long_hash_update: LONG_HASH.insert(LONG, 1, 0).is_ok();
    /// Hit in an LRU hash.
    lru_hit: LRU_HASH.get_ptr(SHORT).is_some();
    /// Miss there.
    lru_miss: LRU_HASH.get_ptr(ABSENT).is_none();
    /// Update of an entry there.
    lru_update: LRU_HASH.insert(SHORT, 1, 0).is_ok();
    /// The clock in nanoseconds.
    ktime: {
        // SAFETY: a helper without arguments.
        let now = unsafe { bpf_ktime_get_ns() };
        now != 0
    };
    /// The clock as of the last tick.
    ktime_coarse: {
        // SAFETY: a helper without arguments.
        let now = unsafe { bpf_ktime_get_coarse_ns() };
        now != 0
    };
    /// The clock in jiffies.
    jiffies: {
        // SAFETY: a helper without arguments.
        let now = unsafe { bpf_jiffies64() };
        now != 0
    };
    /// The CPU's number.
    processor: {
        // SAFETY: a helper without arguments.
        let processor = unsafe { bpf_get_smp_processor_id() };
        processor as u32 != u32::MAX
    };
    /// Redirection to an interface.
    redirect: {
        // SAFETY: a helper without pointers.
        let action = unsafe { bpf_redirect(1, 0) };
        action != 0
    };
}

#[inline(always)]
fn swap_zero(value: *const u64) -> bool {
    // SAFETY: a map's value, of which `Shared` has the layout.
    unsafe { &*value.cast::<Shared<u64>>() }.compare_exchange(0, 0)
}
