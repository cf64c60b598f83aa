//! What a frame's sender left to the NIC: `virtio_net_hdr`, which packet sockets put before each frame
//! (`include/uapi/linux/virtio_net.h`).

/// The checksum is unfinished (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
const NEEDS_CHECKSUM: u8 = 1;

/// What is left to be done to a frame before it goes onto a wire. In native order: a packet socket never promises
/// virtio's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Unfinished {
    flags: u8,
    /// How to cut a frame that is longer than the MTU; 0: not at all.
    segmentation: u8,
    /// Length of the headers, a hint.
    headers: u16,
    /// Data bytes of each segment.
    segment: u16,
    /// Where the sum begins.
    sum_start: u16,
    /// Where it is put, from there.
    sum_offset: u16,
}

const _: () = assert!(size_of::<Unfinished>() == 10);

impl Unfinished {
    /// Whether it is to be cut.
    pub(super) fn is_merged(self) -> bool {
        self.segmentation != 0
    }

    /// How many data bytes each segment of a merged TCP frame has.
    pub(super) fn tcp_segment(self) -> Option<usize> {
        /// `VIRTIO_NET_HDR_GSO_TCPV4`, `_TCPV6`, and what says that there may be ECN.
        const TCP: [u8; 2] = [1, 4];
        const ECN: u8 = 0x80;
        TCP.contains(&(self.segmentation & !ECN))
            .then_some(usize::from(self.segment))
    }

    /// Whether the checksum is unfinished.
    pub(super) fn has_partial_checksum(self) -> bool {
        self.flags & NEEDS_CHECKSUM != 0
    }

    /// What is left of it when the frame's start has moved by so many bytes towards its end; `None` if what is left
    /// cannot be said of such a frame.
    ///
    /// The egress device does what is left, or hands it on to the next.
    pub(super) fn moved(self, by: isize) -> Option<Self> {
        if by != 0 && self.is_merged() {
            // The segments' headers would not be those that the kernel knows how to repeat.
            return None;
        }
        let sum_start = if self.has_partial_checksum() {
            u16::try_from(isize::try_from(self.sum_start).ok()?.checked_sub(by)?).ok()?
        } else {
            0
        };
        Some(Self {
            flags: self.flags & NEEDS_CHECKSUM,
            // The kernel puts in what it needs at least.
            headers: 0,
            sum_start,
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNFINISHED: Unfinished = Unfinished {
        flags: NEEDS_CHECKSUM | 2,
        segmentation: 0,
        headers: 54,
        segment: 0,
        sum_start: 34,
        sum_offset: 16,
    };

    #[test]
    fn the_place_of_the_sum_moves_with_the_frames_start() {
        let moved = |by| UNFINISHED.moved(by).expect("a header");
        assert_eq!((moved(0).flags, moved(0).sum_start), (NEEDS_CHECKSUM, 34));
        assert_eq!([moved(-20).sum_start, moved(4).sum_start], [54, 30]);
        assert_eq!(UNFINISHED.moved(35), None);
    }

    #[test]
    fn a_frame_that_is_to_be_cut_stays_where_it_is() {
        let merged = Unfinished {
            segmentation: 1,
            segment: 1448,
            ..UNFINISHED
        };
        assert_eq!(merged.moved(0).map(|header| header.segment), Some(1448));
        assert_eq!(merged.moved(-20), None);
    }

    #[test]
    fn a_finished_frame_stays_finished() {
        let finished = Unfinished {
            flags: 2,
            ..Unfinished::default()
        };
        assert_eq!(finished.moved(-20), Some(Unfinished::default()));
    }
}
