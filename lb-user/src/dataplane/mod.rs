//! Engines that forward packets.
//!
//! An engine owns its tables; the control plane writes to them as [`lb_common::memory::Memory`], the same for
//! every engine, and each change is a store into memory that packets are forwarded by.

mod capacity;
mod mapped;
mod xdp;

pub use capacity::Capacity;
pub use xdp::{AdoptError, AttachError, LoadError, Mode, Object, Pins, PinsError, Tables, Xdp};

/// The eBPF object, as `cargo xtask build` made it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("BALLAST_EBPF_OBJECT"));
