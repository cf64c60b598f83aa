//! The programs that `ballast-bench` times with the kernel's test run. None of them is part of Ballast.
//!
//! - [`path`]: the packet path over its own maps, in wrappers that give it a fresh frame each time, and those
//!   wrappers alone, whose cost is to be taken off.
//! - [`lookup`]: the flow table and the kernel's hash tables, with the same keys.
//! - [`floor`]: the least that any program costs.
//! - [`primitive`]: what single look-ups and helpers cost.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![no_std]
#![no_main]
#![expect(
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "helpers take and give wider integers than they mean, and programs get their context by value"
)]

#[path = "../balance.rs"]
mod balance;
mod floor;
mod frame;
mod lookup;
#[path = "../maps.rs"]
mod maps;
mod path;
mod primitive;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic: the verifier would refuse the endless loop that this is.
    loop {}
}

/// What the kernel asks of programs that use its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
