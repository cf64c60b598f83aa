//! The packet path in this process, over `AF_PACKET` sockets, for hosts where XDP cannot be had.
//!
//! One thread for each CPU takes frames from all interfaces in batches, decides on them by the same
//! [`lb_common::process`] that the kernel runs, over tables on the heap, and sends on what is to be forwarded. What is
//! for services is kept from the host's own stack, which gets a copy of every frame, by `host`.
//!
//! Frames are taken by `recvmmsg` and not from a ring in shared memory. A ring of version 3 hands frames over in blocks,
//! which a frame that comes alone leaves only by a timer, a millisecond later at least: too late for who asks and waits
//! for each answer. One of version 2 has slots of one size, and merged frames need 64 KB each. `recvmmsg` copies as often
//! as a ring does, straight to where the packet path has room around the frame.
//!
//! The daemon's end is the end of its flows: sockets, tables and what keeps packets from the host all go with the
//! process, however it ends.

mod batch;
mod engine;
mod header;
mod host;
mod nft;
mod segments;
mod sockets;
mod watch;
mod worker;

pub use engine::{AfPacket, Losses, StartError, tables, threads};
pub use host::{HostError, KeptFromHost};
pub(crate) use sockets::frames_of;
pub(super) use sockets::send;

/// Cuts a merged frame into segments with so many data bytes each, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[must_use]
pub fn cut(frame: &[u8], size: usize) -> Option<Vec<Vec<u8>>> {
    segments::Merged::of(frame, size).map(|merged| merged.segments().collect())
}

/// Reads an answer of the kernel, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub fn read_kernel_answer(answer: &[u8]) {
    nft::read(answer);
}
