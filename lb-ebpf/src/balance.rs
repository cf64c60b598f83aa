//! A packet through the packet path, which is two programs here: one that follows flows and one that begins them. Each
//! ends in the other by a tail call, so that each has the whole stack and neither pays for a call.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers return and contexts hold 64 bits where the kernel means 32"
)]

use aya_ebpf::{
    bindings::xdp_action, helpers::bpf_redirect, macros::map, maps::ProgramArray, programs::XdpContext,
};
use lb_common::{Packet, Reason, Verdict};

use crate::maps::Maps;

/// The two programs, for each other: put there by whoever loads them.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(2, 0);

/// Where the program of `begin` stands in [`PROGRAMS`]; that of [`follow`] is the first.
const BEGIN: u32 = 1;

/// The frame that a program was started for.
#[inline(always)]
pub fn packet(context: &XdpContext) -> Packet<'_> {
    let (start, end) = (context.data() as *mut u8, context.data_end() as *mut u8);
    let interface = context.ingress_ifindex() as u32;
    // SAFETY: the kernel gives the frame to this program alone while it runs.
    unsafe { Packet::from_pointers(start, end, interface) }
}

/// Forwards a packet by its flow, or leaves it alone, or goes on to begin one.
#[inline(always)]
pub fn follow(context: &XdpContext) -> u32 {
    match lb_common::follow(&mut packet(context), &Maps) {
        Some(verdict) => action(verdict),
        None => go_on(context, BEGIN),
    }
}

/// What the kernel shall do with a packet.
#[inline(always)]
pub fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Pass(_) => xdp_action::XDP_PASS,
        Verdict::Tx => xdp_action::XDP_TX,
        // SAFETY: a helper without pointers.
        Verdict::Redirect(interface) => unsafe { bpf_redirect(interface, 0) as u32 },
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    }
}

/// Goes on to the other program, with the packet as it is. The kernel allows 33 times; a flow that is evicted as often
/// as it is opened ends there.
#[inline(always)]
pub fn go_on(context: &XdpContext, program: u32) -> u32 {
    // SAFETY: the context is the one that this program was started with.
    unsafe { PROGRAMS.tail_call(context, program) };
    action(lb_common::refuse(&Maps, Reason::FlowContended))
}
