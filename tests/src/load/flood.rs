//! SYNs from addresses that nobody has: handshakes that are begun and never finished.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd as _,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket},
};

use crate::Namespace;

/// A flood to make, of packets that differ in their source alone.
#[derive(Debug, Clone)]
pub struct Flood {
    /// Services, in turn.
    pub targets: Vec<SocketAddrV4>,
    /// SYNs in all.
    pub count: u32,
    /// Time that they are spread over; zero: they come as fast as they go.
    pub duration: Duration,
}

/// One under way.
pub struct RunningFlood {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

/// SYNs that are sent without a look at the clock.
const BURST: u32 = 32;

impl Flood {
    /// Sends it all from `namespace`, and waits for the end.
    pub fn run(self, namespace: &Namespace) -> Result<()> {
        let flood = self.start(namespace);
        flood.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Begins to send from `namespace`.
    #[must_use]
    pub fn start(self, namespace: &Namespace) -> RunningFlood {
        let (sent, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = namespace.spawn({
            let (sent, over) = (Arc::clone(&sent), Arc::clone(&over));
            move || self.send(&sent, &over)
        });
        RunningFlood { sent, over, thread }
    }

    fn send(&self, sent: &AtomicU64, over: &AtomicBool) -> Result<()> {
        // A raw socket of this protocol takes packets with their IP headers (raw(7)).
        let (kind, protocol) = (SockType::Raw, SockProtocol::Raw);
        let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, protocol)
            .context("cannot open a raw socket")?;
        let (start, mut packet) = (Instant::now(), Vec::new());
        for (number, target) in (0..self.count).zip(self.targets.iter().cycle()) {
            if over.load(Ordering::Relaxed) {
                break;
            }
            if number % BURST == 0 {
                let due = self.duration.mul_f64(f64::from(number) / f64::from(self.count));
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            packet.clear();
            syn(number, *target, &mut packet)?;
            // Where the receiver does not keep up, its queue is full.
            while let Err(error) = sendto(
                socket.as_raw_fd(),
                &packet,
                &SockaddrIn::from(*target),
                MsgFlags::empty(),
            ) {
                if error != Errno::ENOBUFS {
                    return Err(error).context("cannot send a SYN");
                }
                thread::yield_now();
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// From an address and port that no other has: 131,072 addresses that are there for tests (RFC 2544).
fn syn(number: u32, target: SocketAddrV4, packet: &mut Vec<u8>) -> Result<()> {
    const ADDRESSES: u32 = 1 << 17;
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number % ADDRESSES);
    let port = 1024 + u16::try_from(number / ADDRESSES)?;
    let syn = PacketBuilder::ipv4(address.octets(), target.ip().octets(), 64)
        .tcp(port, target.port(), number, u16::MAX)
        .syn();
    Ok(syn.write(packet, &[])?)
}

impl RunningFlood {
    /// How many were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; how many were sent.
    pub fn stop(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(self.sent.load(Ordering::Relaxed))
    }
}
