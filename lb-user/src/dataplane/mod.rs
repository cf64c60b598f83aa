//! Engines that forward packets.
//!
//! An engine owns its tables; the control plane writes to them as [`lb_common::memory::Memory`], the same for
//! every engine, and each change is a store into memory that packets are forwarded by.

pub mod af_packet;
mod capacity;
mod engine;
mod mapped;
mod shot;
mod sink;
mod xdp;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

pub(crate) use af_packet::frames_of;
pub use af_packet::{AfPacket, HostError, KeptFromHost, Losses};
pub use capacity::Capacity;
pub use engine::{Engine, SharedTables, WatchError};
pub use shot::shoot;
pub use sink::{Lost, Shown, Sink};
pub use xdp::{AdoptError, AttachError, LoadError, Mode, Object, Pins, PinsError, Tables, Xdp, bpffs};

/// The eBPF object, as `cargo xtask build` made it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("BALLAST_EBPF_OBJECT"));

/// What nobody outside can guess, from the operating system.
pub(crate) fn secret() -> u64 {
    RandomState::new().build_hasher().finish()
}
