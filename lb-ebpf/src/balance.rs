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
use lb_common::{Action, Outcome, Reason, Stage, Verdict};

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
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Tx => xdp_action::XDP_TX,
        // SAFETY: a helper without pointers.
        Action::Redirect => unsafe { bpf_redirect(verdict.interface(), 0) as u32 },
        Action::Drop => xdp_action::XDP_DROP,
    }
}

/// Goes on in another program, with the packet as it is. The kernel allows 33 times; a flow that is evicted as often
/// as it is opened ends there.
#[inline(always)]
pub fn go_on(context: &XdpContext, stage: Stage) -> u32 {
    match stage {
        Stage::Choose => jump::<{ Stage::Choose as u32 }>(context),
        Stage::BeginV4 => jump::<{ Stage::BeginV4 as u32 }>(context),
        Stage::BeginV6 => jump::<{ Stage::BeginV6 as u32 }>(context),
        Stage::Follow => jump::<{ Stage::Follow as u32 }>(context),
        Stage::Encapsulate => jump::<{ Stage::Encapsulate as u32 }>(context),
        // SAFETY: the context is the one that this program was started with.
        _ => unsafe { PROGRAMS.tail_call(context, stage as u32) },
    }
    action(lb_common::refuse(&Maps, Reason::FlowContended))
}

/// A tail call whose stage the verifier knows, so that it becomes a jump: others are indirect ones, which cost ten
/// nanoseconds where those have to be made safe (retpolines). An instruction for each, which LLVM does not merge.
#[inline(always)]
fn jump<const STAGE: u32>(context: &XdpContext) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: `bpf_tail_call` (include/uapi/linux/bpf.h) with the context that this program was started with, and the
    // map. Where it returns it has changed no more than any helper does.
    unsafe {
        core::arch::asm!(
            "r3 = {stage}",
            "call 12",
            stage = const STAGE,
            inlateout("r1") context.ctx => _,
            inlateout("r2") &raw const PROGRAMS => _,
            lateout("r0") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as above.
    unsafe {
        PROGRAMS.tail_call(context, STAGE);
    }
}
