//! What is said of a packet that is shown.

use super::subject::Subject;
use crate::{address::V6, layout::Watch, packet::Packet, reason::Reason};

/// What is said of a packet that is shown; its first bytes follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sighting {
    /// When, in nanoseconds since the system's start.
    pub when: u64,
    /// Length of the frame in bytes. As wide as a pointer: LLVM would compute with halves of pointers otherwise, which the
    /// verifier does not allow.
    pub length: u64,
    /// [`Watch::number`]: what an earlier watch has shown is no business of this one's.
    pub watch: u32,
    /// Which of the worker's packets: the same before and after.
    pub number: u32,
    /// Index of the interface that it came in by.
    pub interface: u32,
    /// A [`Moment`].
    pub moment: u32,
    /// Row of its service plus one; 0: none.
    pub service: u32,
    /// Row of its backend plus one; 0: none.
    pub backend: u32,
    /// How many bytes of the frame follow.
    pub shown: u32,
    /// Afterwards: see [`crate::Verdict::index`].
    pub verdict: u32,
    /// Afterwards: the reason plus one; 0: it is forwarded.
    pub reason: u32,
    /// Afterwards: 1 if it is one of those that are watched, else 0. Before, a new flow's backend is not known.
    pub wanted: u32,
}

/// When in a packet's way it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub u32);

impl Moment {
    /// As it came in.
    pub const BEFORE: Self = Self(0);
    /// As it leaves.
    pub const AFTER: Self = Self(1);
}

impl Sighting {
    /// Length as it lies in memory.
    pub const LEN: usize = size_of::<Self>();

    /// From what lies in memory, if there is enough of it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (long, rest) = bytes.get(..Self::LEN)?.split_first_chunk::<16>()?;
        let (words, _) = rest.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_ne_bytes(*word));
        let [when, length] = longs(*long);
        Some(Self {
            when,
            length,
            watch: words.next()?,
            number: words.next()?,
            interface: words.next()?,
            moment: words.next()?,
            service: words.next()?,
            backend: words.next()?,
            shown: words.next()?,
            verdict: words.next()?,
            reason: words.next()?,
            wanted: words.next()?,
        })
    }

    /// Why the packet is not forwarded.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let index = usize::try_from(self.reason).ok()?.checked_sub(1)?;
        Reason::ALL.get(index).copied()
    }

    #[inline(always)]
    pub(super) fn of(&mut self, subject: &Subject) {
        self.service = subject.service;
        self.backend = subject.backend;
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lesser of it and 32 bits")]
    pub(super) fn measure(&mut self, packet: &Packet<'_>, watch: &Watch) {
        self.length = packet.len();
        self.shown = self.length.min(u64::from(watch.length.load())) as u32;
    }
}

fn longs(bytes: [u8; 16]) -> [u64; 2] {
    let V6(words) = V6::from_octets(bytes);
    words
}

const _: () = {
    assert!(size_of::<Sighting>() == 56);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sighting_is_read_from_where_it_lies() {
        let mut bytes = [0; Sighting::LEN + 3];
        for (place, byte) in (0..).zip(&mut bytes) {
            *byte = place;
        }
        let sighting = Sighting::from_bytes(&bytes).unwrap();
        let word = |first: u8| u32::from_ne_bytes([first, first + 1, first + 2, first + 3]);
        assert_eq!(sighting.when, u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(
            sighting.length,
            u64::from_ne_bytes([8, 9, 10, 11, 12, 13, 14, 15])
        );
        assert_eq!(
            (sighting.watch, sighting.service, sighting.shown),
            (word(16), word(32), word(40))
        );
        assert_eq!(sighting.wanted, word(52));
        assert_eq!(Sighting::from_bytes(&bytes[..Sighting::LEN - 1]), None);
    }
}
