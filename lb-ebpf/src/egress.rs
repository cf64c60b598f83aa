//! Packets that this host sends, on their way out of an interface: the answers of its own backends among them.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use lb_common::{Egress, Packet};

use crate::maps::Maps;

/// All that the packet path looks at: Ethernet, an IPv4 header with all options, TCP without.
const HEADERS: u32 = 14 + 60 + 20;

/// Gives answers of backends on this host the virtual address. Other programs on the interface get their turn.
#[classifier]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the macro's entry point hands it over"
)]
pub fn egress(context: TcContext) -> i32 {
    match lb_common::egress(&mut frame(&context), &Maps) {
        Egress::Untouched | Egress::Translated => TC_ACT_UNSPEC,
        Egress::Refused(_) => TC_ACT_SHOT,
    }
}

/// The frame, with its headers within reach: the kernel is asked to bring them where its stack has put them elsewhere.
#[inline(always)]
fn frame<'a>(context: &TcContext) -> Packet<'a> {
    let length = context.len();
    let wanted = length.min(HEADERS);
    if within(context) < u64::from(wanted) {
        // Where that fails, the packet is as short as before, and found malformed.
        let _short = context.pull_data(wanted);
    }
    let (start, end) = (context.data() as *mut u8, context.data_end() as *mut u8);
    let rest = u64::from(length).wrapping_sub(within(context));
    // SAFETY: the kernel gives the frame to this program alone while it runs.
    unsafe { Packet::from_pointers(start, end, 0, context.as_ptr().cast()) }.with_rest(rest)
}

/// How many bytes are within reach.
#[inline(always)]
fn within(context: &TcContext) -> u64 {
    (context.data_end() as u64).wrapping_sub(context.data() as u64)
}
