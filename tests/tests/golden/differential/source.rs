//! Frames that nobody thought of: valid, damaged, cut off and random, and answers to what became of them.

use std::collections::VecDeque;

use lb_common::{
    address::{TCP, UDP},
    wire::{ACK, FIN, RST, SYN},
};

use super::{
    arrangement::{arrangement, change},
    random::Random,
    step::{Bytes, Step},
};
use crate::{
    engine::Forwarded,
    frame::{Check, Frame},
    rows::{fragments::fragments, headers::mend_ipv4, icmp::errors, long_way::with_headers},
    world::{BACK, FRONT, Family, OTHER, PORT, SECOND_PORT},
};

/// An 802.1Q tag, and one of 802.1ad.
const TAGS: [[u8; 4]; 2] = [[0x81, 0x00, 0x00, 0x05], [0x88, 0xa8, 0x00, 0x06]];

/// The steps of a story.
pub(super) struct Source {
    random: Random,
    /// Steps that follow from the one before.
    next: VecDeque<Step>,
    /// What clients sent lately.
    sent: Kept,
    /// What was forwarded lately.
    forwarded: Kept,
    /// What the host's own stack got translated lately.
    delivered: Kept,
}

impl Source {
    pub(super) fn new(mut random: Random) -> Self {
        Self {
            next: arrangement(&mut random).into(),
            random,
            sent: Kept::default(),
            forwarded: Kept::default(),
            delivered: Kept::default(),
        }
    }

    /// The next step.
    pub(super) fn step(&mut self) -> Step {
        if let Some(step) = self.next.pop_front() {
            return step;
        }
        if self.random.one_in(30) {
            return change(&mut self.random);
        }
        if let Some(answer) = self.host_answer() {
            return Step::Emit(Bytes(answer));
        }
        let (frame, interface) = self.frame();
        Step::Frame(interface, Bytes(self.spoilt(frame)))
    }

    /// Takes note of what became of a frame.
    pub(super) fn learn(&mut self, frame: &[u8], outcome: Forwarded) {
        let kept = match outcome.verdict {
            "tx" | "redirect" => &mut self.forwarded,
            "pass" if outcome.bytes != frame => &mut self.delivered,
            _ => return,
        };
        if transport(&outcome.bytes).is_some() {
            kept.keep(&mut self.random, outcome.bytes);
        }
    }

    /// A frame, and the interface that it comes in by.
    fn frame(&mut self) -> (Vec<u8>, u32) {
        let front = self.random.of(&[FRONT, FRONT, FRONT, FRONT, FRONT, BACK, OTHER]);
        let back = self.random.of(&[BACK, BACK, BACK, BACK, BACK, FRONT, OTHER]);
        match self.random.below(40) {
            0 => (self.noise(), front),
            1 => (self.ping(), front),
            2 => self.fragmented(front),
            3 => (self.error(true), back),
            4 => (self.error(false), front),
            5..18 => match self.forwarded.any(&mut self.random) {
                Some(frame) => (self.answer(frame), back),
                None => (self.packet(), front),
            },
            18..25 => match self.sent.any(&mut self.random) {
                Some(frame) => (self.with_other_flags(frame), front),
                None => (self.packet(), front),
            },
            _ => (self.packet(), front),
        }
    }

    /// A client's packet, mostly to a service.
    fn packet(&mut self) -> Vec<u8> {
        let frame = self.request();
        let mut bytes = frame.bytes();
        self.sent.keep(&mut self.random, bytes.clone());
        if frame.to.is_ipv6() && self.random.one_in(12) {
            let count = self.random.below(4);
            // Any header that is walked over, authentication, or one that nobody knows.
            let headers = (0..count).map(|_| {
                (
                    self.random.of(&[0, 43, 60, 60, 51, 99]),
                    self.random.of(&[0, 0, 1, 30]),
                )
            });
            bytes = with_headers(&bytes, &headers.collect::<Vec<_>>());
        }
        if self.random.one_in(16) {
            bytes.splice(12..12, self.random.of(&TAGS));
        }
        bytes
    }

    fn request(&mut self) -> Frame {
        let random = &mut self.random;
        let (family, protocol) = (random.of(&Family::ALL), random.of(&[TCP, UDP]));
        let port = 40_000 + random.below(64);
        let mut frame = Frame::to_service(family, protocol)
            .sent_from(u16::try_from(port).expect("a port"))
            .sent_to(random.of(&[PORT, PORT, PORT, SECOND_PORT, 9999]));
        if random.one_in(2) {
            frame.from.set_ip(family.neighbour(random.of(&[8, 9])));
        }
        if random.one_in(60) {
            // From the virtual address itself.
            frame.from = frame.to;
        }
        if random.one_in(60) {
            frame.to_mac = [0xff; 6];
        }
        frame.flags = random.of(&[SYN, SYN, SYN, SYN, SYN, SYN, ACK, FIN | ACK, RST, 0, SYN | FIN]);
        // Maximum segment size, and what is not one.
        frame.tcp_options = random
            .of(&[
                &[][..],
                &[2, 4, 5, 0xb4],
                &[1, 2, 4, 5, 0xb4, 0, 0, 0],
                &[2, 0, 0, 0],
            ])
            .to_vec();
        let longest = random.of(&[1, 40, 600, 1480, 3000]);
        let length = random.below(longest);
        frame.payload = random.bytes(length);
        frame.trailer = vec![0; random.of(&[0, 0, 0, 6])];
        frame.ttl = random.of(&[64, 64, 64, 64, 2, 1]);
        frame.class = random.of(&[0, 0, 0xb9]);
        frame.check = random.of(&[
            Check::Right,
            Check::Right,
            Check::Partial,
            Check::Absent,
            Check::Off(0x1234),
        ]);
        if family == Family::V4 {
            frame.options = vec![1; 4 * random.of(&[0, 0, 0, 1, 10])];
        }
        frame
    }

    /// A client's packet in fragments, not always all or in order.
    fn fragmented(&mut self, interface: u32) -> (Vec<u8>, u32) {
        let mut frame = self.request();
        frame.payload = vec![0x5a; 1 + self.random.below(1600)];
        let name = u32::try_from(self.random.below(8)).expect("a small number");
        let mut pieces = fragments(&frame, name);
        if self.random.one_in(4) {
            let end = pieces.len();
            pieces.swap(0, self.random.below(end));
        }
        if self.random.one_in(4) {
            pieces.truncate(2);
        }
        let mut pieces = pieces.into_iter();
        let first = pieces.next().expect("a packet has a piece");
        self.next
            .extend(pieces.map(|piece| Step::Frame(interface, Bytes(piece))));
        (first, interface)
    }

    fn ping(&mut self) -> Vec<u8> {
        let frame = self.request();
        let kind = if frame.to.is_ipv4() { (8, 0) } else { (128, 0) };
        frame.icmp(kind, [0, 1, 0, 2], b"are you there")
    }

    /// An error about what left for a backend, or about what came back from there.
    fn error(&mut self, from_behind: bool) -> Vec<u8> {
        let Some(about) = self.forwarded.any(&mut self.random) else {
            return self.noise();
        };
        let packet = &about[14..];
        let family = if packet[0] >> 4 == 4 {
            Family::V4
        } else {
            Family::V6
        };
        let (kind, rest) = {
            let errors = errors(family);
            errors[self.random.below(errors.len())]
        };
        let template = Frame::to_service(family, UDP);
        let length = self.random.of(&[28, 48, 100, 548]);
        let error = template.icmp(kind, rest, &packet[..length.min(packet.len())]);
        // To who sent what it is about.
        let mut error = if from_behind { error } else { self.answer(error) };
        let (addresses, width) = addresses(&error);
        let sender = addresses..addresses + width;
        error[addresses + width..addresses + 2 * width].copy_from_slice(&about[sender]);
        if family == Family::V4 {
            mend_ipv4(&mut error);
        }
        error
    }

    /// A packet back to where a forwarded one came from: sums do not change when their words change places.
    fn answer(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let (addresses, width) = addresses(&frame);
        frame[addresses..addresses + 2 * width].rotate_left(width);
        let Some(transport) = transport(&frame) else {
            return frame;
        };
        frame[transport..transport + 4].rotate_left(2);
        self.with_flags(frame, &[SYN | ACK, SYN | ACK, ACK, ACK, FIN | ACK, RST])
    }

    fn host_answer(&mut self) -> Option<Vec<u8>> {
        if !self.random.one_in(10) {
            return None;
        }
        let delivered = self.delivered.any(&mut self.random)?;
        let answer = self.answer(delivered);
        Some(if self.random.one_in(8) {
            self.damaged(answer)
        } else {
            answer
        })
    }

    fn with_other_flags(&mut self, frame: Vec<u8>) -> Vec<u8> {
        self.with_flags(frame, &[SYN, ACK, ACK, FIN | ACK, RST])
    }

    fn with_flags(&mut self, mut frame: Vec<u8>, choices: &[u8]) -> Vec<u8> {
        let flags = transport(&frame).filter(|_| protocol(&frame) == TCP);
        if let Some(flags) = flags.and_then(|transport| frame.get_mut(transport + 13)) {
            *flags = self.random.of(choices);
        }
        frame
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = 14 + self.random.below(106);
        let mut frame = self.random.bytes(length);
        let ether_type = self
            .random
            .of(&[[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x08, 0x06]]);
        frame[12..14].copy_from_slice(&ether_type);
        frame
    }

    /// Now and then damaged or cut off.
    fn spoilt(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        match self.random.below(12) {
            0 => self.damaged(frame),
            1 => {
                // The kernel's test run takes an Ethernet header at least.
                frame.truncate(14 + self.random.below(frame.len() - 13));
                frame
            }
            _ => frame,
        }
    }

    fn damaged(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.random.below(4) {
            // Mostly in the headers.
            let at = self.random.below(frame.len().min(80));
            frame[at] = self.random.byte();
        }
        frame
    }
}

/// Frames to come back to.
#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl Kept {
    const MOST: usize = 64;

    /// Keeps one more, if need be instead of any other.
    fn keep(&mut self, random: &mut Random, frame: Vec<u8>) {
        if self.0.len() < Self::MOST {
            self.0.push(frame);
        } else {
            self.0[random.below(Self::MOST)] = frame;
        }
    }

    fn any(&self, random: &mut Random) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| self.0[random.below(self.0.len())].clone())
    }
}

/// Where a frame's IP addresses are, and the width of each.
fn addresses(frame: &[u8]) -> (usize, usize) {
    if frame[14] >> 4 == 4 { (26, 4) } else { (22, 16) }
}

/// What follows the IP header.
fn protocol(frame: &[u8]) -> u8 {
    if frame[14] >> 4 == 4 { frame[23] } else { frame[20] }
}

/// Where the ports of a frame are that has TCP or UDP behind its IP header.
fn transport(frame: &[u8]) -> Option<usize> {
    let plain = matches!(frame.get(12..14)?, [0x08, 0x00] | [0x86, 0xdd]) && frame.len() >= 54;
    let offset = if *frame.get(14)? >> 4 == 4 {
        14 + 4 * usize::from(frame[14] & 0x0f)
    } else {
        54
    };
    (plain && [TCP, UDP].contains(&protocol(frame)) && frame.len() >= offset + 4).then_some(offset)
}
