//! Frames that are taken and sent together: two system calls for all of them.

use std::{
    io,
    mem::{self, offset_of},
    os::fd::{AsFd, AsRawFd as _},
    ptr,
};

use lb_common::{Action, Packet, Verdict};
use libc::{cmsghdr, iovec, mmsghdr, sockaddr_ll, socklen_t, tpacket_auxdata};

use super::{header::Unfinished, segments::Merged};

/// The most frames taken at once. What comes meanwhile waits in the socket.
const MOST: usize = 64;

/// The fewest that are asked for. Each costs its preparation, and mostly there are one or two.
const FEWEST: usize = 8;

/// Room before a frame, for headers that are put before it.
const HEADROOM: usize = 128;

/// The longest frame: a merged one of 64 KB behind an Ethernet header.
const LONGEST: usize = 65_536 + 18;

/// One thread's frames.
pub(super) struct Batch {
    slots: Vec<Slot>,
    /// How many of them are offered to the kernel: twice as many as it filled the last time.
    offered: usize,
    /// How many of them hold frames.
    taken: usize,
    is_full: bool,
    outgoing: Vec<Outgoing>,
}

/// Room for a frame and what is said of it.
struct Slot {
    unfinished: Unfinished,
    from: sockaddr_ll,
    said: Said,
    buffer: Box<[u8]>,
    length: usize,
    is_truncated: bool,
}

/// The one control message that is asked for.
#[repr(C)]
struct Said {
    header: cmsghdr,
    data: tpacket_auxdata,
}

/// A frame that is to be sent.
struct Outgoing {
    unfinished: Unfinished,
    to: sockaddr_ll,
    slot: usize,
    start: usize,
    length: usize,
}

/// What kind of frame a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that came in, whole.
    Whole,
    /// One that is longer than any that we have room for.
    Truncated,
    /// One that is not looked at: sent by this host, or with a VLAN tag that the kernel has taken out, and that is for
    /// the VLAN's own interface.
    NotOurs,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..MOST).map(|_| Slot::new()).collect(),
            offered: FEWEST,
            taken: 0,
            is_full: false,
            outgoing: Vec::with_capacity(MOST),
        }
    }

    /// Takes the frames that wait in a socket, without waiting for more; how many there were.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.taken = 0;
        let slots = &mut self.slots[..self.offered];
        let mut pieces: Vec<[iovec; 2]> = slots.iter_mut().map(Slot::pieces).collect();
        let mut messages: Vec<mmsghdr> = slots
            .iter_mut()
            .zip(&mut pieces)
            .map(|(slot, pieces)| slot.message(pieces))
            .collect();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the messages' pointers are to slots and pieces, which live until the call has ended and are not
        // touched meanwhile.
        let taken = unsafe {
            libc::recvmmsg(
                fd,
                messages.as_mut_ptr(),
                count(messages.len()),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        // Negative: it failed.
        self.taken = usize::try_from(taken).map_err(|_| io::Error::last_os_error())?;
        for (slot, message) in self.slots.iter_mut().zip(&messages).take(self.taken) {
            slot.taken(message);
        }
        self.is_full = self.taken == self.offered;
        self.offered = (2 * self.taken).clamp(FEWEST, MOST);
        Ok(self.taken)
    }

    /// Whether there may have been more frames than were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Numbers of the slots that hold frames.
    pub(super) fn frames(&self) -> std::ops::Range<usize> {
        0..self.taken
    }

    /// What the slot holds.
    pub(super) fn kind(&self, slot: usize) -> Kind {
        self.slots[slot].kind()
    }

    /// Whether the sender of the frame in a slot left its checksum to the NIC.
    pub(super) fn has_partial_checksum(&self, slot: usize) -> bool {
        self.slots[slot].unfinished.has_partial_checksum()
    }

    /// Cuts the frame in a slot, if it is a merged one, into frames that each need no more than an IP header around them.
    pub(super) fn segments(&self, slot: usize) -> Option<Vec<Vec<u8>>> {
        let Slot {
            unfinished,
            buffer,
            length,
            ..
        } = &self.slots[slot];
        let frame = &buffer[HEADROOM..HEADROOM + length];
        Some(Merged::of(frame, unfinished.tcp_segment()?)?.segments().collect())
    }

    /// Takes the frame in a slot, unless it is a merged one, for one that its sender has finished.
    pub(super) fn forget_partial_checksum(&mut self, slot: usize) {
        let unfinished = &mut self.slots[slot].unfinished;
        if !unfinished.is_merged() {
            *unfinished = Unfinished::default();
        }
    }

    /// Puts a frame that is finished in the place of the one in a slot.
    pub(super) fn replace(&mut self, slot: usize, frame: &[u8]) {
        let slot = &mut self.slots[slot];
        slot.unfinished = Unfinished::default();
        slot.length = frame.len();
        slot.buffer[HEADROOM..HEADROOM + frame.len()].copy_from_slice(frame);
    }

    /// Decides on the frame in a slot, which came in by `interface`, and has it sent where that is decided. Says
    /// whether that is possible.
    pub(super) fn decide(
        &mut self,
        slot: usize,
        interface: u32,
        process: impl FnOnce(&mut Packet<'_>) -> Verdict,
    ) -> bool {
        let Slot {
            buffer,
            length,
            unfinished,
            ..
        } = &mut self.slots[slot];
        let origin = buffer.as_ptr().addr();
        let Some(mut packet) = Packet::in_buffer(buffer, HEADROOM, *length, interface) else {
            return false;
        };
        let verdict = process(&mut packet);
        let (start, length) = (packet.bytes().as_ptr().addr() - origin, packet.bytes().len());
        let moved = start.cast_signed() - HEADROOM.cast_signed();
        let (to, unfinished) = match (verdict.action(), verdict.reason()) {
            (Action::Pass | Action::Drop, _) => return true,
            (Action::Tx, None) => (interface, unfinished.moved(moved)),
            (Action::Redirect, None) => (verdict.interface(), unfinished.moved(moved)),
            // An answer: it is complete, whatever was left undone of what it answers.
            (Action::Tx | Action::Redirect, Some(_)) => (interface, Some(Unfinished::default())),
        };
        let Some(unfinished) = unfinished else {
            return false;
        };
        self.outgoing.push(Outgoing {
            unfinished,
            to: link_layer(to),
            slot,
            start,
            length,
        });
        true
    }

    /// Sends what is to be sent, without waiting for room in a queue; how many frames could not be.
    pub(super) fn send(&mut self, socket: impl AsFd) -> u64 {
        let slots = &self.slots;
        let mut pieces: Vec<[iovec; 2]> = self
            .outgoing
            .iter_mut()
            .map(|frame| frame.pieces(&slots[frame.slot]))
            .collect();
        let mut messages: Vec<mmsghdr> = self
            .outgoing
            .iter_mut()
            .zip(&mut pieces)
            .map(|(frame, pieces)| message(&mut frame.to, pieces))
            .collect();
        let fd = socket.as_fd().as_raw_fd();
        let (mut rest, mut unsent) = (messages.as_mut_slice(), 0);
        while !rest.is_empty() {
            // SAFETY: the messages' pointers are to slots, pieces and `outgoing`, which live until the call has ended
            // and are not touched meanwhile.
            let sent =
                unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), count(rest.len()), libc::MSG_DONTWAIT) };
            // Negative: the first of them cannot be sent.
            let done = usize::try_from(sent).unwrap_or_else(|_| {
                unsent += 1;
                1
            });
            rest = &mut rest[done..];
        }
        self.outgoing.clear();
        unsent
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            unfinished: Unfinished::default(),
            from: link_layer(0),
            said: Said::nothing(),
            buffer: vec![0; HEADROOM + LONGEST + HEADROOM].into_boxed_slice(),
            length: 0,
            is_truncated: false,
        }
    }

    fn pieces(&mut self) -> [iovec; 2] {
        let frame = &mut self.buffer[HEADROOM..HEADROOM + LONGEST];
        [
            iovec {
                iov_base: ptr::from_mut(&mut self.unfinished).cast(),
                iov_len: size_of::<Unfinished>(),
            },
            iovec {
                iov_base: frame.as_mut_ptr().cast(),
                iov_len: frame.len(),
            },
        ]
    }

    fn message(&mut self, pieces: &mut [iovec; 2]) -> mmsghdr {
        let mut message = message(&mut self.from, pieces);
        message.msg_hdr.msg_control = ptr::from_mut(&mut self.said).cast();
        message.msg_hdr.msg_controllen = size_of::<Said>();
        message
    }

    /// Takes in what the kernel says of the frame that it has put here.
    fn taken(&mut self, message: &mmsghdr) {
        let length = usize::try_from(message.msg_len).unwrap_or_default();
        self.length = length.saturating_sub(size_of::<Unfinished>()).min(LONGEST);
        self.is_truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        if message.msg_hdr.msg_controllen < offset_of!(Said, data) + size_of::<tpacket_auxdata>() {
            self.said = Said::nothing();
        }
    }

    fn kind(&self) -> Kind {
        if self.from.sll_pkttype == libc::PACKET_OUTGOING
            || self.said.data.tp_status & libc::TP_STATUS_VLAN_VALID != 0
        {
            Kind::NotOurs
        } else if self.is_truncated {
            Kind::Truncated
        } else {
            Kind::Whole
        }
    }
}

impl Said {
    fn nothing() -> Self {
        // SAFETY: numbers only; all of them 0 is a value.
        unsafe { mem::zeroed() }
    }
}

impl Outgoing {
    fn pieces(&mut self, slot: &Slot) -> [iovec; 2] {
        let frame = &slot.buffer[self.start..self.start + self.length];
        [
            iovec {
                iov_base: ptr::from_mut(&mut self.unfinished).cast(),
                iov_len: size_of::<Unfinished>(),
            },
            iovec {
                // The kernel only reads it.
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            },
        ]
    }
}

fn message(address: &mut sockaddr_ll, pieces: &mut [iovec; 2]) -> mmsghdr {
    // SAFETY: numbers and pointers only; all of them 0 is a value.
    let mut message: mmsghdr = unsafe { mem::zeroed() };
    message.msg_hdr.msg_name = ptr::from_mut(address).cast();
    message.msg_hdr.msg_namelen = ADDRESS_LENGTH;
    message.msg_hdr.msg_iov = pieces.as_mut_ptr();
    message.msg_hdr.msg_iovlen = pieces.len();
    message
}

/// An interface as a socket's address.
pub(super) fn link_layer(interface: u32) -> sockaddr_ll {
    sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        // What a frame says of itself counts.
        sll_protocol: 0,
        sll_ifindex: interface.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

#[expect(clippy::cast_possible_truncation, reason = "20 bytes")]
pub(super) const ADDRESS_LENGTH: socklen_t = size_of::<sockaddr_ll>() as socklen_t;

fn count(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}
