//! The first packet of a flow.

use aya_ebpf::programs::XdpContext;

use crate::{balance, maps::Maps};

/// Where the program of [`balance::follow`] stands among the programs.
const FOLLOW: u32 = 0;

/// Opens a packet's flow and goes on to follow it.
#[inline(always)]
pub fn begin(context: &XdpContext) -> u32 {
    match lb_common::begin(&balance::packet(context), &Maps) {
        Some(verdict) => balance::action(verdict),
        None => balance::go_on(context, FOLLOW),
    }
}
