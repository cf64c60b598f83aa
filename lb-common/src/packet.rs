//! The first door to unsafe code: packet bytes.

use core::marker::PhantomData;

use crate::wire::{EthernetHeader, Ipv4Hdr, Ipv6Hdr, TcpHeader, UdpHdr};

/// A type that packet bytes may be read as.
///
/// # Safety
///
/// Alignment 1, and every bit pattern is a valid value.
pub unsafe trait Wire: Copy {}

// SAFETY: all are `repr(C)` structs of byte arrays and bytes; `wire` asserts the alignment of its own.
unsafe impl Wire for EthernetHeader {}
// SAFETY: as above.
unsafe impl Wire for Ipv4Hdr {}
// SAFETY: as above.
unsafe impl Wire for Ipv6Hdr {}
// SAFETY: as above.
unsafe impl Wire for TcpHeader {}
// SAFETY: as above.
unsafe impl Wire for UdpHdr {}
// SAFETY: bytes.
unsafe impl<const N: usize> Wire for [u8; N] {}

const _: () = assert!(align_of::<Ipv4Hdr>() == 1 && align_of::<Ipv6Hdr>() == 1 && align_of::<UdpHdr>() == 1);

/// A frame, from its Ethernet header to its end, and the interface that it came in by.
#[derive(Debug)]
pub struct Packet<'a> {
    start: *mut u8,
    end: *mut u8,
    interface: u32,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> Packet<'a> {
    /// A frame in memory of our own.
    #[must_use]
    pub fn new(frame: &'a mut [u8], interface: u32) -> Self {
        let range = frame.as_mut_ptr_range();
        Self {
            start: range.start,
            end: range.end,
            interface,
            bytes: PhantomData,
        }
    }

    /// A frame between two pointers.
    ///
    /// # Safety
    ///
    /// The bytes from `start` up to but excluding `end` are ours alone to read and write for `'a`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_pointers(start: *mut u8, end: *mut u8, interface: u32) -> Self {
        Self {
            start,
            end,
            interface,
            bytes: PhantomData,
        }
    }

    /// Index of the interface that the frame came in by.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Length of the frame in bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> u64 {
        (self.end as u64).wrapping_sub(self.start as u64)
    }

    /// Whether the frame has no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The header at `offset`, if all of it lies within the frame.
    #[inline(always)]
    #[must_use]
    pub fn header<T: Wire>(&self, offset: usize) -> Option<&T> {
        let pointer = self.within::<T>(offset)?;
        // SAFETY: `within` has checked that a whole `T` lies in the frame, which is ours for `'a` and borrowed
        // for reading now; `Wire` promises that neither alignment nor value can be wrong.
        Some(unsafe { &*pointer })
    }

    /// The header at `offset` to be changed, if all of it lies within the frame.
    #[inline(always)]
    #[must_use]
    pub fn header_mut<T: Wire>(&mut self, offset: usize) -> Option<&mut T> {
        let pointer = self.within::<T>(offset)?;
        // SAFETY: as in `header`; the frame is borrowed mutably now, so that no other reference exists.
        Some(unsafe { &mut *pointer })
    }

    /// The verifier wants pointers compared with the frame's end; it does not follow lengths.
    #[inline(always)]
    fn within<T>(&self, offset: usize) -> Option<*mut T> {
        let first = opaque(self.start.wrapping_add(offset));
        let after = first.wrapping_add(size_of::<T>());
        (after <= self.end).then_some(first.cast())
    }
}

/// Hides where a pointer comes from: LLVM would compute it again for a later use, and the verifier would not know
/// the second one for the one that was checked ("R1 offset is outside of the packet").
#[inline(always)]
fn opaque(pointer: *mut u8) -> *mut u8 {
    #[cfg(target_arch = "bpf")]
    {
        let mut pointer = pointer;
        // SAFETY: moves a register to itself. (An empty text would leave two line infos at one instruction, which
        // the kernel refuses.)
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) pointer, options(nomem, nostack, preserves_flags))
        };
        pointer
    }
    #[cfg(not(target_arch = "bpf"))]
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_must_lie_within_the_frame_as_a_whole() {
        let mut frame = [0_u8; 20];
        let packet = Packet::new(&mut frame, 1);
        assert!(packet.header::<EthernetHeader>(6).is_some());
        assert!(packet.header::<EthernetHeader>(7).is_none());
        assert!(packet.header::<[u8; 1]>(20).is_none());
    }

    #[test]
    fn a_change_is_in_the_frame() {
        let mut frame = [0_u8; 4];
        let mut packet = Packet::new(&mut frame, 1);
        *packet.header_mut::<[u8; 2]>(1).unwrap() = [7, 8];
        assert_eq!(frame, [0, 7, 8, 0]);
    }
}
