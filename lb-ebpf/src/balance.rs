//! A packet through the packet path.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers return and contexts hold 64 bits where the kernel means 32"
)]

use aya_ebpf::{bindings::xdp_action, helpers::bpf_redirect, programs::XdpContext};
use lb_common::{Packet, Verdict, process};

use crate::maps::Maps;

/// The frame that a program was started for.
#[inline(always)]
pub fn packet(context: &XdpContext) -> Packet<'_> {
    let (start, end) = (context.data() as *mut u8, context.data_end() as *mut u8);
    let interface = context.ingress_ifindex() as u32;
    // SAFETY: the kernel gives the frame to this program alone while it runs.
    unsafe { Packet::from_pointers(start, end, interface) }
}

/// Decides on a packet, rewrites it and says what the kernel shall do with it.
#[inline(always)]
pub fn balance(packet: &mut Packet<'_>) -> u32 {
    match process(packet, &Maps) {
        Verdict::Pass(_) => xdp_action::XDP_PASS,
        Verdict::Tx => xdp_action::XDP_TX,
        // SAFETY: a helper without pointers.
        Verdict::Redirect(interface) => unsafe { bpf_redirect(interface, 0) as u32 },
        Verdict::Drop(_) => xdp_action::XDP_DROP,
    }
}
