//! The maps, and [`Tables`] over them.
//!
//! All are arrays that the daemon maps into its memory: a look-up is an addition and a compare in the JIT's code,
//! and an update is a store. Sizes given here are placeholders: the daemon sets them when it loads the object.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers return and contexts hold 64 bits where the kernel means 32"
)]

use core::ptr;

use aya_ebpf::{
    helpers::{
        bpf_csum_diff, bpf_get_smp_processor_id, bpf_jiffies64, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
    },
    macros::map,
    maps::Array,
    programs::XdpContext,
};
use lb_common::{
    Packet, Tables, V4, V6,
    checksum::Sum,
    flow::Bucket,
    layout::{
        Account, Backend, BackendCounters, Border, ChoiceWord, Datagrams, Ended, Ends, Note, PacketCounters,
        Quotas, Service, ServiceSlot, Settings, Source, Watch,
    },
};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, MMAPABLE);
#[map]
static SERVICE_SLOTS: Array<ServiceSlot> = Array::with_max_entries(1, MMAPABLE);
#[map]
static SERVICES: Array<Service> = Array::with_max_entries(1, MMAPABLE);
#[map]
static CHOICES: Array<ChoiceWord> = Array::with_max_entries(1, MMAPABLE);
#[map]
static BACKENDS: Array<Backend> = Array::with_max_entries(1, MMAPABLE);
#[map]
static SOURCES: Array<Source> = Array::with_max_entries(1, MMAPABLE);
#[map]
static FLOWS_V4: Array<Bucket<V4>> = Array::with_max_entries(1, MMAPABLE);
#[map]
static FLOWS_V6: Array<Bucket<V6>> = Array::with_max_entries(1, MMAPABLE);
#[map]
static DATAGRAMS: Array<Datagrams> = Array::with_max_entries(1, MMAPABLE);
#[map]
static BORDERS: Array<Border> = Array::with_max_entries(1, MMAPABLE);
#[map]
static QUOTAS: Array<Quotas> = Array::with_max_entries(1, MMAPABLE);
#[map]
static ACCOUNTS: Array<Account> = Array::with_max_entries(1, MMAPABLE);
#[map]
static ENDED: Array<Ended> = Array::with_max_entries(1, MMAPABLE);
#[map]
static ENDS: Array<Ends> = Array::with_max_entries(1, MMAPABLE);
#[map]
static WATCH: Array<Watch> = Array::with_max_entries(1, MMAPABLE);
#[map]
static NOTES: Array<Note> = Array::with_max_entries(1, MMAPABLE);
#[map]
static PACKETS: Array<PacketCounters> = Array::with_max_entries(1, MMAPABLE);
#[map]
static TRAFFIC: Array<BackendCounters> = Array::with_max_entries(1, MMAPABLE);

/// The tables as the kernel has them.
pub struct Maps;

/// The frame that a program was started for, as it is now.
#[inline(always)]
pub fn frame<'a>(context: &XdpContext) -> Packet<'a> {
    let (start, end) = (context.data() as *mut u8, context.data_end() as *mut u8);
    let interface = context.ingress_ifindex() as u32;
    // SAFETY: the kernel gives the frame to this program alone while it runs.
    unsafe { Packet::from_pointers(start, end, interface, context.ctx.cast()) }
}

/// The kernel's coarse clock, in jiffies: free to read, and fine enough for time-outs of seconds. It wraps around
/// after 49 days at 1000 Hz.
#[inline(always)]
pub fn now() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

#[inline(always)]
fn worker() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_smp_processor_id() as u32 }
}

impl Tables for Maps {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        SETTINGS.get(0)
    }

    #[inline(always)]
    fn service_slot(&self, index: u32) -> Option<&ServiceSlot> {
        SERVICE_SLOTS.get(index)
    }

    #[inline(always)]
    fn service(&self, index: u32) -> Option<&Service> {
        SERVICES.get(index)
    }

    #[inline(always)]
    fn choices(&self, index: u32) -> Option<&ChoiceWord> {
        CHOICES.get(index)
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&Backend> {
        BACKENDS.get(index)
    }

    #[inline(always)]
    fn source(&self, index: u32) -> Option<&Source> {
        SOURCES.get(index)
    }

    #[inline(always)]
    fn bucket_v4(&self, index: u32) -> Option<&Bucket<V4>> {
        FLOWS_V4.get(index)
    }

    #[inline(always)]
    fn bucket_v6(&self, index: u32) -> Option<&Bucket<V6>> {
        FLOWS_V6.get(index)
    }

    #[inline(always)]
    fn datagrams(&self, index: u32) -> Option<&Datagrams> {
        DATAGRAMS.get(index)
    }

    #[inline(always)]
    fn border(&self, index: u32) -> Option<&Border> {
        BORDERS.get(index)
    }

    #[inline(always)]
    fn quotas(&self, index: u32) -> Option<&Quotas> {
        QUOTAS.get(index)
    }

    #[inline(always)]
    fn account(&self, index: u32) -> Option<&Account> {
        ACCOUNTS.get(index)
    }

    #[inline(always)]
    fn ended(&self, index: u32) -> Option<&Ended> {
        ENDED.get(worker().wrapping_mul(Ended::ROWS).wrapping_add(index))
    }

    #[inline(always)]
    fn ends(&self) -> Option<&Ends> {
        ENDS.get(worker())
    }

    #[inline(always)]
    fn watch(&self) -> Option<&Watch> {
        WATCH.get(0)
    }

    #[inline(always)]
    fn note(&self) -> Option<&Note> {
        NOTES.get(worker())
    }

    #[inline(always)]
    fn packet_counters(&self) -> Option<&PacketCounters> {
        PACKETS.get(worker())
    }

    #[inline(always)]
    fn backend_counters(&self, settings: &Settings, backend: u32) -> Option<&BackendCounters> {
        let capacity = settings.backend_capacity.load();
        if backend >= capacity {
            return None;
        }
        TRAFFIC.get(worker().wrapping_mul(capacity).wrapping_add(backend))
    }

    #[inline(always)]
    fn sum<const N: usize>(&self, bytes: &[u8; N]) -> Sum {
        // SAFETY: reads N bytes, which are there.
        let sum = unsafe { bpf_csum_diff(ptr::null_mut(), 0, bytes.as_ptr().cast_mut().cast(), N as u32, 0) };
        Sum::ZERO.add_u32(sum as u32)
    }

    #[inline(always)]
    fn resize(&self, packet: &mut Packet<'_>, start: i32, end: i32) -> bool {
        let Some(handle) = packet.handle() else {
            return false;
        };
        let context = XdpContext::new(handle.cast());
        // SAFETY: the handle is the context that the program was started with.
        let resized = (start == 0 || unsafe { bpf_xdp_adjust_head(context.ctx, start) } == 0)
            // SAFETY: as above.
            && (end == 0 || unsafe { bpf_xdp_adjust_tail(context.ctx, end) } == 0);
        let (start, end) = (context.data() as *mut u8, context.data_end() as *mut u8);
        // SAFETY: as in `frame`.
        unsafe { packet.set_pointers(start, end) };
        resized
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        now()
    }
}
