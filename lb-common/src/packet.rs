//! The first door to unsafe code: packet bytes.

use core::marker::PhantomData;

use crate::{
    hint::likely,
    opaque,
    wire::{EthernetHeader, FramedV4, FramedV6, IcmpHeader, Ipv4Hdr, Ipv6Hdr, TcpHeader, UdpHdr},
};

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
// SAFETY: as above.
unsafe impl Wire for IcmpHeader {}
// SAFETY: as above.
unsafe impl Wire for FramedV4 {}
// SAFETY: as above.
unsafe impl Wire for FramedV6 {}
// SAFETY: bytes.
unsafe impl<const N: usize> Wire for [u8; N] {}

const _: () = assert!(align_of::<Ipv4Hdr>() == 1 && align_of::<Ipv6Hdr>() == 1 && align_of::<UdpHdr>() == 1);

/// A frame, from its Ethernet header to its end, and the interface that it came in by.
#[derive(Debug)]
pub struct Packet<'a> {
    start: *mut u8,
    end: *mut u8,
    /// Bytes of the frame behind `end`, out of reach.
    rest: u64,
    interface: u32,
    owner: Owner,
    bytes: PhantomData<&'a mut [u8]>,
}

/// Whose memory a frame lies in, and so who can give it more room.
#[derive(Debug, Clone, Copy)]
enum Owner {
    /// Ours, from here up to but excluding there.
    Buffer(*mut u8, *mut u8),
    /// The engine's, which knows the frame by this pointer.
    Engine(*mut u8),
}

impl<'a> Packet<'a> {
    /// A frame in memory of our own, without room to grow.
    #[must_use]
    pub fn new(frame: &'a mut [u8], interface: u32) -> Self {
        let range = frame.as_mut_ptr_range();
        Self {
            start: range.start,
            end: range.end,
            rest: 0,
            interface,
            owner: Owner::Buffer(range.start, range.end),
            bytes: PhantomData,
        }
    }

    /// A frame that begins `headroom` bytes into memory of our own and is `length` bytes long; `None` if that is not
    /// within the buffer. What is around it is room to grow.
    #[must_use]
    pub fn in_buffer(buffer: &'a mut [u8], headroom: usize, length: usize, interface: u32) -> Option<Self> {
        let whole = buffer.as_mut_ptr_range();
        let range = buffer
            .get_mut(headroom..headroom.checked_add(length)?)?
            .as_mut_ptr_range();
        Some(Self {
            start: range.start,
            end: range.end,
            rest: 0,
            interface,
            owner: Owner::Buffer(whole.start, whole.end),
            bytes: PhantomData,
        })
    }

    /// A frame between two pointers, in memory of an engine that knows it by `handle`.
    ///
    /// # Safety
    ///
    /// The bytes from `start` up to but excluding `end` are ours alone to read and write for `'a`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn from_pointers(start: *mut u8, end: *mut u8, interface: u32, handle: *mut u8) -> Self {
        Self {
            start,
            end,
            rest: 0,
            interface,
            owner: Owner::Engine(handle),
            bytes: PhantomData,
        }
    }

    /// The same with so many bytes of the frame behind its end that cannot be reached: where a sender's stack keeps its
    /// data in pieces.
    #[inline(always)]
    #[must_use]
    pub fn with_rest(self, rest: u64) -> Self {
        Self { rest, ..self }
    }

    /// The same frame between two other pointers, after its engine has moved its start or its end.
    ///
    /// # Safety
    ///
    /// As for [`Packet::from_pointers`].
    #[inline(always)]
    pub unsafe fn set_pointers(&mut self, start: *mut u8, end: *mut u8) {
        (self.start, self.end) = (start, end);
    }

    /// What its engine knows it by; `None` if it lies in memory of our own.
    #[inline(always)]
    #[must_use]
    pub fn handle(&self) -> Option<*mut u8> {
        match self.owner {
            Owner::Buffer(..) => None,
            Owner::Engine(handle) => Some(handle),
        }
    }

    /// Moves a frame's start and end, each by that many bytes towards the frame's end, within its buffer; says whether
    /// it did. Bytes that come in are what they happen to be. Never for a frame in an engine's memory.
    #[must_use]
    pub fn resize(&mut self, start: isize, end: isize) -> bool {
        let Owner::Buffer(first, last) = self.owner else {
            return false;
        };
        let (start, end) = (self.start.wrapping_offset(start), self.end.wrapping_offset(end));
        let within = first <= start && start <= end && end <= last;
        if within {
            (self.start, self.end) = (start, end);
        }
        within
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let length = (self.end as usize).wrapping_sub(self.start as usize);
        // SAFETY: the bytes between the two pointers are ours for `'a`, as whoever made the packet has said, and are
        // borrowed for reading now.
        unsafe { core::slice::from_raw_parts(self.start, length) }
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
        (self.end as u64)
            .wrapping_sub(self.start as u64)
            .wrapping_add(self.rest)
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
        let (first, behind) = opaque::span(self.start, offset, size_of::<T>());
        likely(behind <= self.end as usize).then_some(first.cast())
    }
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
    fn a_frame_grows_and_shrinks_within_its_buffer_only() {
        let mut buffer: [u8; 6] = [0, 1, 2, 3, 4, 5];
        let mut packet = Packet::in_buffer(&mut buffer, 2, 3, 1).unwrap();
        assert_eq!(packet.bytes(), [2, 3, 4]);
        assert!(packet.resize(-2, 1));
        assert_eq!(packet.bytes(), [0, 1, 2, 3, 4, 5]);
        assert!(!packet.resize(-1, 0) && !packet.resize(0, 1) && !packet.resize(7, 0));
        assert!(packet.resize(5, 0));
        assert_eq!(packet.bytes(), [5]);
    }

    #[test]
    fn a_change_is_in_the_frame() {
        let mut frame = [0_u8; 4];
        let mut packet = Packet::new(&mut frame, 1);
        *packet.header_mut::<[u8; 2]>(1).unwrap() = [7, 8];
        assert_eq!(frame, [0, 7, 8, 0]);
    }
}
