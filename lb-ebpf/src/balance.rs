//! A packet through the packet path, whose stages are programs that go on in each other by tail calls: each has the whole
//! stack, and none pays for a call.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers return 64 bits where the kernel means 32"
)]

use aya_ebpf::{
    bindings::xdp_action, helpers::bpf_redirect, macros::map, maps::ProgramArray, programs::XdpContext,
};
use lb_common::{Outcome, Reason, Stage, Verdict};

use crate::maps::Maps;

/// The programs of the stages, each at its stage's number: put there by whoever loads them. With room for more, so that
/// one that is pinned fits the next version too.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(32, 0);

/// Ends a stage's program: does what the stage came to.
#[inline(always)]
pub fn conclude(context: &XdpContext, outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Decided(verdict) => action(verdict),
        Outcome::Next(stage) => go_on(context, stage),
    }
}

/// What the kernel shall do with a packet.
#[inline(always)]
pub fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Pass(_) => xdp_action::XDP_PASS,
        Verdict::Tx | Verdict::Answer(_) => xdp_action::XDP_TX,
        // SAFETY: a helper without pointers.
        Verdict::Redirect(interface) => unsafe { bpf_redirect(interface, 0) as u32 },
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    }
}

/// Goes on in another program, with the packet as it is. The kernel allows 33 times; a flow that is evicted as often
/// as it is opened ends there.
#[inline(always)]
pub fn go_on(context: &XdpContext, stage: Stage) -> u32 {
    // SAFETY: the context is the one that this program was started with.
    unsafe { PROGRAMS.tail_call(context, stage as u32) };
    action(lb_common::refuse(&Maps, Reason::FlowContended))
}
