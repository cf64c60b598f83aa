//! SYNs from addresses that nobody has: handshakes that are begun and never finished.

use std::{
    fs::File,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use etherparse::PacketBuilder;
use nix::net::if_::if_nametoindex;

use crate::Namespace;

/// A flood to make, of frames that differ in their source alone.
#[derive(Debug, Clone)]
pub struct Flood {
    /// Services, in turn.
    pub targets: Vec<SocketAddrV4>,
    /// SYNs in all.
    pub count: u32,
    /// Time that they are spread over.
    pub duration: Duration,
    /// The interface that they leave by.
    pub interface: String,
    /// Source and destination of the frames.
    pub macs: [[u8; 6]; 2],
}

/// SYNs that are sent without a look at the clock.
const BURST: u32 = 32;

impl Flood {
    /// Sends it all from `namespace`, and waits for the end.
    pub fn run(self, namespace: &Namespace) -> Result<()> {
        namespace.run(|| self.send())
    }

    fn send(&self) -> Result<()> {
        let mut socket = packet_socket(&self.interface)
            .with_context(|| format!("cannot open a packet socket on {}", self.interface))?;
        let (start, mut frame) = (Instant::now(), Vec::new());
        for (number, target) in (0..self.count).zip(self.targets.iter().cycle()) {
            if number % BURST == 0 {
                let due = self.duration.mul_f64(f64::from(number) / f64::from(self.count));
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            frame.clear();
            self.syn(number, *target, &mut frame)?;
            while let Err(error) = socket.write_all(&frame) {
                // The receiver does not keep up: its queue is full.
                ensure!(
                    error.raw_os_error() == Some(libc::ENOBUFS),
                    "a frame was not sent: {error}"
                );
                thread::yield_now();
            }
        }
        Ok(())
    }

    /// From an address and port that no other has: 131,072 addresses that are there for tests (RFC 2544).
    fn syn(&self, number: u32, target: SocketAddrV4, frame: &mut Vec<u8>) -> Result<()> {
        const ADDRESSES: u32 = 1 << 17;
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number % ADDRESSES);
        let port = 1024 + u16::try_from(number / ADDRESSES)?;
        let [from, to] = self.macs;
        let packet = PacketBuilder::ethernet2(from, to)
            .ipv4(address.octets(), target.ip().octets(), 64)
            .tcp(port, target.port(), number, u16::MAX)
            .syn();
        Ok(packet.write(frame, &[])?)
    }
}

/// A socket of the current thread's namespace that sends frames as they are, and receives none.
fn packet_socket(interface: &str) -> io::Result<File> {
    let index = if_nametoindex(interface)?;
    // SAFETY: a system call without pointers.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else has.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: all zeros is a value of it.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_ifindex = index.cast_signed();
    let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the address is laid out as its family has it, and lives until the call returns.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket.into())
}
