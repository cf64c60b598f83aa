//! The packet path in wrappers, and the wrappers alone.

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_TX},
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    macros::xdp,
    programs::XdpContext,
};
use lb_common::{Address, Outcome, Packet, Tables as _, V4, V6, flow::Bucket, shared::Shared};

use crate::{
    balance,
    frame::{self, Form},
    maps::{self, Maps},
};

/// Defines a program that hands its frame to the packet path and then gets a new one, and its twin that only
/// gets a new one.
macro_rules! wrapped {
    ($($(#[$doc:meta])* $path:ident, $alone:ident: $renew:expr;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $path(context: XdpContext) -> u32 {
            let packet = &mut maps::frame(&context);
            match lb_common::follow(packet, &Maps) {
                Outcome::Decided(verdict) => done(balance::action(verdict), $renew(packet)),
                Outcome::Next(_) => XDP_ABORTED,
            }
        }

        #[doc = concat!("What `", stringify!($path), "` does, without the packet path.")]
        #[xdp]
        #[inline(always)]
        pub fn $alone(context: XdpContext) -> u32 {
            done(XDP_TX, $renew(&mut maps::frame(&context)))
        }
    )*};
}

wrapped! {
    /// The same IPv4 frame each time.
    again_v4, again_v4_alone: frame::again::<frame::V4>;
    /// The same IPv6 frame each time.
    again_v6, again_v6_alone: frame::again::<frame::V6>;
}

/// The packet path and nothing else, for packets that it leaves as they are.
#[xdp]
#[inline(always)]
pub fn plain(context: XdpContext) -> u32 {
    follow(&context)
}

#[inline(always)]
fn follow(context: &XdpContext) -> u32 {
    balance::conclude(context, lb_common::follow(&mut maps::frame(context), &Maps))
}

/// Defines a program that gets a new frame and hands it to the packet path, which may go on in another program and so
/// comes last, and its twin that only gets a new one.
macro_rules! opening {
    ($($(#[$doc:meta])* $path:ident, $alone:ident: $renew:expr;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $path(context: XdpContext) -> u32 {
            match renewed(&context, |packet| $renew(packet)) {
                Some(_) => follow(&context),
                None => XDP_ABORTED,
            }
        }

        #[doc = concat!("What `", stringify!($path), "` does, without the packet path.")]
        #[xdp]
        #[inline(always)]
        pub fn $alone(context: XdpContext) -> u32 {
            done(XDP_TX, renewed(&context, |packet| $renew(packet)))
        }
    )*};
}

/// Gets a new frame, also where the one before was of no flow, and answered by a RST without its data.
#[inline(always)]
fn renewed<T>(context: &XdpContext, renew: impl Fn(&mut Packet<'_>) -> Option<T>) -> Option<T> {
    if let Some(renewed) = renew(&mut maps::frame(context)) {
        return Some(renewed);
    }
    // SAFETY: the context is the one that this program was started with, and no packet is borrowed from it.
    let refused = unsafe { bpf_xdp_adjust_tail(context.ctx, DATA) };
    if refused != 0 {
        return None;
    }
    renew(&mut maps::frame(context))
}

/// Bytes of data in each of the bench's segments.
const DATA: i32 = 22;

opening! {
    /// The next IPv4 client's frame each time.
    next_v4, next_v4_alone: frame::next::<frame::V4>;
    /// The next IPv6 client's frame each time.
    next_v6, next_v6_alone: frame::next::<frame::V6>;
    /// The next IPv4 client's frame each time, and two buckets of the flow table are emptied.
    open_v4, open_v4_alone: open_next::<frame::V4, V4>;
    /// The next IPv6 client's frame each time, and two buckets of the flow table are emptied.
    open_v6, open_v6_alone: open_next::<frame::V6, V6>;
}

/// Defines a program that takes off what the packet path has put around the frame in the run before, and hands it the
/// same frame again, and its twin that moves the frame's start by nothing, which costs as much.
macro_rules! unwrapping {
    ($($(#[$doc:meta])* $path:ident, $alone:ident: $form:ty;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $path(context: XdpContext) -> u32 {
            match moved::<$form>(&context, <$form>::NETWORK) {
                Some(()) => follow(&context),
                None => XDP_ABORTED,
            }
        }

        #[doc = concat!("What `", stringify!($path), "` does, without the packet path.")]
        #[xdp]
        #[inline(always)]
        pub fn $alone(context: XdpContext) -> u32 {
            done(XDP_TX, moved::<$form>(&context, 0))
        }
    )*};
}

unwrapping! {
    /// The same IPv4 frame each time, which goes through a tunnel of IPv4.
    unwrap_v4, unwrap_v4_alone: frame::V4;
    /// The same IPv6 frame each time, which goes through a tunnel of IPv6.
    unwrap_v6, unwrap_v6_alone: frame::V6;
}

/// The same frame again, so many bytes further on.
#[inline(always)]
fn moved<F: Form>(context: &XdpContext, by: i32) -> Option<()> {
    // SAFETY: the context is the one that this program was started with, and no packet is borrowed from it.
    let refused = unsafe { bpf_xdp_adjust_head(context.ctx, by) };
    if refused != 0 {
        return None;
    }
    frame::again::<F>(&mut maps::frame(context))
}

/// The action, unless the frame could not be renewed: the bench stops at that.
#[inline(always)]
fn done<T>(action: u32, renewed: Option<T>) -> u32 {
    renewed.map_or(XDP_ABORTED, |_| action)
}

/// The next client's frame, and room for its flow: two buckets are emptied in turn for each flow, so that no bucket
/// ever has more than a flow's two entries on average.
#[inline(always)]
fn open_next<F: Form, A: Address>(packet: &mut Packet<'_>) -> Option<()> {
    let position = frame::next::<F>(packet)?;
    let settings = Maps.settings()?;
    let mask = if A::IS_V6 {
        &settings.bucket_mask_v6
    } else {
        &settings.bucket_mask_v4
    };
    let first = (position as u32).wrapping_mul(2);
    empty(A::bucket(&Maps, first & mask.load())?);
    empty(A::bucket(&Maps, first.wrapping_add(1) & mask.load())?);
    Some(())
}

/// Fills a bucket with zeros, whatever its layout: that is how an unused one looks.
#[inline(always)]
fn empty<A: Address>(bucket: &Bucket<A>) {
    let words = core::ptr::from_ref(bucket).cast::<Shared<u64>>();
    let words_of_bucket = const { size_of::<Bucket<A>>() / size_of::<Shared<u64>>() };
    for index in 0..words_of_bucket {
        // SAFETY: within the bucket, which is whole words of shared cells, aligned to a cache line.
        unsafe { &*words.wrapping_add(index) }.store(0);
    }
}
