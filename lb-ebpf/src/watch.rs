//! The packet path while somebody watches: another program in the place of the balancer's, which calls it, and shows packets
//! before and after. As long as nobody does, it is attached nowhere.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::bpf_ktime_get_ns,
    macros::{map, xdp},
    maps::PerfEventArray,
    programs::XdpContext,
};
use lb_common::{
    Action, Packet, Stage, Tables as _,
    watch::{Sighting, Witness},
};

use crate::{
    balance,
    maps::{self, Maps},
};

/// Where the daemon sees them, each CPU in a buffer of its own; there are none as long as it does not look.
#[map]
static SIGHTINGS: PerfEventArray<Sighting> = PerfEventArray::new(0);

/// The balancer, watched.
#[xdp]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the macro's entry point hands it over"
)]
pub fn watch(context: XdpContext) -> u32 {
    lb_common::watch(&mut maps::frame(&context), &Maps, &Shown(&context), |packet| {
        let action = stages(context.ctx);
        // They may have moved its start and end.
        *packet = maps::frame(&context);
        (action, index(action))
    })
}

/// Goes through the stages. A program that is gone on in by a tail call of a subprogram returns to that one's caller (from
/// Linux 5.10 on).
#[inline(never)]
fn stages(context: *mut xdp_md) -> u32 {
    let action = balance::go_on(&XdpContext::new(context), Stage::Follow);
    // What is reached here is one constant, and LLVM would take it for the answer of all calls.
    action.wrapping_add(Maps.settings().map_or(0, |settings| settings.zero.load()))
}

/// The index of the verdict that led to an action.
#[inline(always)]
fn index(action: u32) -> usize {
    match action {
        xdp_action::XDP_PASS => Action::Pass as usize,
        xdp_action::XDP_TX => Action::Tx as usize,
        xdp_action::XDP_REDIRECT => Action::Redirect as usize,
        _ => Action::Drop as usize,
    }
}

/// A packet's program, to show what it has in hand.
struct Shown<'c>(&'c XdpContext);

impl Witness for Shown<'_> {
    #[inline(always)]
    fn time(&self) -> u64 {
        // SAFETY: a helper without arguments.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn show(&self, _: &Packet<'_>, sighting: &Sighting) {
        // The kernel appends so many bytes of the frame.
        SIGHTINGS.output(self.0, sighting, sighting.shown);
    }
}
