//! Ballast's packet path in the kernel: entry points over the maps of [`maps`]. What happens to a packet is
//! decided in `lb-common`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![no_std]
#![no_main]
use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

mod balance;
mod connect;
mod egress;
mod maps;
mod watch;

/// Defines a stage's program.
macro_rules! stages {
    ($($(#[$doc:meta])* $program:ident: $stage:ident;)*) => {$(
        $(#[$doc])*
        #[xdp]
        #[inline(always)]
        pub fn $program(context: XdpContext) -> u32 {
            balance::conclude(&context, lb_common::$stage(&mut maps::frame(&context), &maps::Maps))
        }
    )*};
}

stages! {
    /// The balancer, which is attached to interfaces.
    ballast: follow;
    /// Where it goes on with the first packet of a flow.
    choose: choose;
    /// Where that goes on with the backend that it has chosen.
    begin_v4: begin_v4;
    /// The same over IPv6.
    begin_v6: begin_v6;
    /// Where it goes on with a TCP segment that cannot be delivered.
    reset: reset;
    /// Where it goes on with a packet that travels within another.
    encapsulate: encapsulate;
    /// Where it goes on with what happens to a connection that its backend has not taken.
    retry: retry;
    /// Where it goes on with ICMP.
    icmp: icmp;
    /// Where it goes on with tags, extension headers and fragments.
    detour: detour;
    /// The same over IPv6.
    detour_v6: detour_v6;
    /// Where it goes on with a packet whose sender is to be told why it does not arrive.
    error: error;
    /// Where it goes on with packets to backends on this host.
    deliver: deliver;
    /// Where it goes on with the first packet of a flow to one.
    begin_local: begin_local;
    /// Where it goes on with packets of sources that may send so many.
    meter: meter;
    /// Where it goes on with SYNs of a flood, and with what acknowledges its answers to them.
    cookie: cookie;
    /// Where it goes on with packets of flows that were opened so.
    splice: splice;
    /// Where it goes on with packets to services that refuse damaged ones.
    verify: verify;
    /// Where it goes on with the first packet of a flow that finds the flow table full.
    make_room: make_room;
    /// Where it goes on with the first packet of a flow whose client's last one lingers.
    reopen: reopen;
}

/// Passes everything. On the peer of a veth it makes frames that XDP sends there arrive.
#[xdp]
pub fn pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Returns the kernel's clock as the flow table uses it, in ticks.
#[xdp]
pub fn clock(_context: XdpContext) -> u32 {
    maps::now()
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The packet path cannot panic: the verifier would refuse the endless loop that this is.
    loop {}
}

/// What the kernel asks of programs that use its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
