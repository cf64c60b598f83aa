//! Ballast's packet path: `no_std`, no panics, the same code in XDP, in a userspace engine and in plain tests.
//!
//! [`process`] takes a [`Packet`] and the [`Tables`] and says what becomes of it; a packet's way reads top-down:
//!
//! 1. [`parse`]: Ethernet, IP, TCP or UDP to a [`Segment`], or a [`Reason`] to leave the packet alone.
//! 2. [`layout::PortFilter`]: one cheap look-up lets everything pass that no service can want.
//! 3. [`flow`]: the flow table; both directions of a known flow are one look-up each.
//! 4. [`choose`], [`begin_v4`], [`begin_v6`]: a new flow's service and backend, source port and two table entries; or
//!    [`reopen()`]: those of its client's last one.
//! 5. [`begin_local`], [`deliver`], [`egress()`]: flows to a backend on this host, their packets, and its answers.
//! 6. [`cookie()`], [`splice()`]: floods of SYNs, and the flows of clients that are not part of one.
//! 7. [`rewrite`]: addresses, ports, checksums (RFC 1624), TTL and MAC addresses; or [`encapsulate`]: a packet around it.
//! 8. [`watch()`]: around all of it while somebody watches, who is shown packets before and after.
//!
//! # Conventions
//!
//! - Wire values stay in network order, in types named for it ([`V4`], [`V6`], [`Port`], [`Mac`]).
//! - `unsafe` stands behind two doors: [`packet`] (packet bytes) and [`shared`] (table memory). (`opaque` has two
//!   instructions that touch neither.)
//! - Table records are `repr(C)` with explicit padding, hold no enum, bool or Option, and their sizes are asserted.
#![cfg_attr(not(test), no_std)]
// Atomic compare-and-swap has no stable spelling on the BPF target: its `AtomicU64` lacks the method.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(target_arch = "bpf", expect(internal_features, reason = "see above"))]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows a call anew each time; what is inlined is followed once and simplified before"
)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests panic rather than return errors"
    )
)]

#[cfg(any(test, feature = "memory"))]
extern crate alloc;

pub mod access;
pub mod address;
mod answer;
mod begin;
mod begin_local;
pub mod checksum;
pub mod choice;
mod choose;
mod connect;
mod cookie;
mod deliver;
mod detour;
mod egress;
mod encapsulate;
pub mod flow;
mod follow;
pub mod hash;
mod hint;
mod hop;
mod icmp;
pub mod layout;
pub mod link;
mod make_room;
pub mod manner;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod meter;
mod mss;
mod one_way;
mod opaque;
pub mod packet;
pub mod parse;
mod process;
mod quota;
mod rate;
pub mod reason;
mod reopen;
mod retry;
pub mod rewrite;
pub mod ring;
mod room;
mod route;
pub mod service;
pub mod shared;
mod siphash;
mod source;
mod splice;
mod sum;
pub mod tables;
pub mod verdict;
mod verify;
pub mod watch;
pub mod wire;

pub use address::{Address, Mac, Port, Tuple, V4, V6};
pub use answer::{error, reset};
pub use begin::{begin_v4, begin_v6};
pub use begin_local::begin_local;
pub use choose::choose;
pub use connect::connect;
pub use cookie::cookie;
pub use deliver::deliver;
pub use detour::{detour, detour_v6};
pub use egress::{Egress, egress};
pub use encapsulate::encapsulate;
pub use follow::follow;
pub use icmp::icmp;
pub use make_room::make_room;
pub use meter::meter;
pub use packet::Packet;
pub use parse::Segment;
pub use process::{Outcome, Stage, process, refuse};
pub use reason::Reason;
pub use reopen::reopen;
pub use retry::retry;
pub use splice::splice;
pub use tables::Tables;
pub use verdict::{Action, Verdict};
pub use verify::verify;
pub use watch::watch;
