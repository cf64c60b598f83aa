//! The frame for the next run.
//!
//! The kernel's test run with a repeat count gives a program its own output as the next input. So each wrapper
//! here puts a fresh header into the frame. Where the packet path ends in the wrapper, it does so after the packet
//! path had the frame and not before, so that these stores have all the time that there is until the next run.
//!
//! A NIC's stores have reached the cache long before; these have not. A load of bytes that one store has written gets them
//! from the CPU's store buffer at once, and one of bytes that two have written waits until both have reached the cache. So
//! stores are as wide as fields are, or as neighbouring ones together.

use aya_ebpf::{macros::map, maps::Array};
use lb_common::Packet;

/// Longest header to put back: Ethernet, IPv6, TCP, in whole words.
const HEADER_BYTES: usize = 80;

/// The header as it came: the first bytes of the frame.
#[map]
static HEADER: Array<[u8; HEADER_BYTES]> = Array::with_max_entries(1, 0);

/// Which client's frame comes next: see [`Course`].
#[map]
static COURSE: Array<Course> = Array::with_max_entries(1, 0);

/// A way through `mask + 1` clients that meets each once: a linear congruential generator, whose period is the whole
/// of any power of two where `multiplier` is 1 modulo 4 (Knuth, TAOCP 3.2.1.2, theorem A).
///
/// Client number `n` has the address and port of [`HEADER`], plus `n / 16` and `n % 16`.
#[repr(C)]
pub struct Course {
    /// Clients on the way less one; their count is a power of two.
    mask: u64,
    /// Number of the first of them.
    first: u64,
    /// From one to the next; 1 takes them by their numbers.
    multiplier: u64,
    /// Where on the way the next run is, below `mask + 1`.
    position: u64,
}

/// What differs between the families' frames.
pub trait Form {
    /// Where whole words begin in which no field is cut in two.
    const ALIGNED: usize;
    /// How many of them a forwarded packet may differ in.
    const WORDS: usize;
    /// Where the last four bytes of the source address are.
    const ADDRESS: usize;
    /// Where the source port is.
    const PORT: usize;
    /// Bytes of the network header.
    const NETWORK: i32;
}

/// IPv4 without options.
pub struct V4;

/// IPv6 without extension headers.
pub struct V6;

impl Form for V4 {
    const ALIGNED: usize = 18;
    const WORDS: usize = 5;
    const ADDRESS: usize = 26;
    const PORT: usize = 34;
    const NETWORK: i32 = 20;
}

impl Form for V6 {
    const ALIGNED: usize = 14;
    const WORDS: usize = 8;
    const ADDRESS: usize = 34;
    const PORT: usize = 54;
    const NETWORK: i32 = 40;
}

/// Puts the same frame back.
#[inline(always)]
pub fn again<F: Form>(packet: &mut Packet<'_>) -> Option<()> {
    let header = HEADER.get(0)?;
    put::<8>(packet, header, 0)?;
    put::<4>(packet, header, 8)?;
    put::<2>(packet, header, 12)?;
    if F::ALIGNED != 14 {
        put::<4>(packet, header, 14)?;
    }
    for index in 0..F::WORDS {
        put::<8>(packet, header, F::ALIGNED.wrapping_add(index.wrapping_mul(8)))?;
    }
    Some(())
}

/// Puts so many bytes back.
#[inline(always)]
fn put<const N: usize>(packet: &mut Packet<'_>, header: &[u8; HEADER_BYTES], offset: usize) -> Option<()> {
    let bytes: &[u8; N] = header.get(offset..)?.first_chunk()?;
    *packet.header_mut(offset)? = *bytes;
    Some(())
}

/// Puts the next client's frame there, and says where on the way that is.
#[inline(always)]
pub fn next<F: Form>(packet: &mut Packet<'_>) -> Option<u64> {
    again::<F>(packet)?;
    let course = COURSE.get_ptr_mut(0)?;
    // SAFETY: a map's value lives as long as the map, and one CPU at a time runs this.
    let course = unsafe { &mut *course };
    let position = course.position.wrapping_mul(course.multiplier).wrapping_add(1) & course.mask;
    course.position = position;
    let client = course.first.wrapping_add(position);
    shift(packet.header_mut(F::ADDRESS)?, (client >> 4) as u32);
    let port = packet.header_mut::<[u8; 2]>(F::PORT)?;
    *port = u16::from_be_bytes(*port)
        .wrapping_add((client & 15) as u16)
        .to_be_bytes();
    Some(position)
}

/// Adds to four bytes in network order.
#[inline(always)]
fn shift(bytes: &mut [u8; 4], by: u32) {
    *bytes = u32::from_be_bytes(*bytes).wrapping_add(by).to_be_bytes();
}
