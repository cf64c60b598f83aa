//! Whether a service's own address answers on a backend, which in modes `dsr` and `tunnel` is what clients meet.
//!
//! The way there is not the host's: by its routes the address is the host's own, or somebody else's. So a SYN is sent as
//! the packet path would send it, from a port that no socket has, and its answer is seen before the host's stack throws it
//! away.

pub mod frame;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{MsgFlags, recv, send};
use socket2::SockRef;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
};

use self::frame::{Answer, Segment};
use super::probe::Failure;
use crate::{config::types::Encapsulation, dataplane, next_hop::NextHop};

/// Ports that Linux gives to no socket by itself (`ip_local_port_range` ends at 60999).
const FIRST_PORT: u16 = 61_000;
const PORTS: u64 = 4_536;
/// As much of a frame as is looked at: all headers there can be.
const LONGEST: usize = 256;

/// A service's addresses on one backend, and the way there.
#[derive(Debug)]
pub struct Vip {
    addresses: Vec<SocketAddr>,
    /// Where an outer header goes, and of which kind.
    tunnel: Option<(SocketAddr, Encapsulation)>,
    way: watch::Sender<Option<NextHop>>,
}

impl Vip {
    /// These addresses, by a tunnel to the backend or else directly; the way is still to be found.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>, tunnel: Option<(SocketAddr, Encapsulation)>) -> Self {
        Self {
            addresses,
            tunnel,
            way: watch::Sender::new(None),
        }
    }

    /// Whether another has the same addresses on the same backend.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.addresses == other.addresses && self.tunnel == other.tunnel
    }

    /// Tells the way.
    pub fn lead(&self, way: &NextHop) {
        self.way.send_replace(Some(way.clone()));
    }

    /// Whether the way has been told.
    #[cfg(test)]
    pub(crate) fn has_way(&self) -> bool {
        self.way.borrow().is_some()
    }

    /// Has each of the addresses that are of the backend's own family asked for a connection, which is then given up.
    pub(super) async fn ask(&self) -> Result<(), Failure> {
        let mut way = self.way.subscribe();
        let way = way.wait_for(Option::is_some).await;
        let Some(way) = way.ok().and_then(|way| way.clone()) else {
            return Ok(());
        };
        let asked = self.addresses.iter();
        for address in asked.filter(|address| address.is_ipv4() == way.source.is_ipv4()) {
            match self.connect(*address, &way).await.map_err(Failure::Host)? {
                Answer::Taken => {}
                Answer::Refused => {
                    return Err(Failure::of_backend(format!("{address} is refused on it")));
                }
            }
        }
        Ok(())
    }

    async fn connect(&self, address: SocketAddr, way: &NextHop) -> io::Result<Answer> {
        let random = dataplane::secret();
        let port = FIRST_PORT + u16::try_from(random % PORTS).unwrap_or_default();
        let [_, _, _, _, sequence @ ..] = random.to_be_bytes();
        let opening = Segment {
            from: SocketAddr::new(way.source, port),
            to: address,
            sequence: u32::from_be_bytes(sequence),
            ends: false,
        };
        let socket = dataplane::frames_of(way.ifindex)?;
        SockRef::from(&socket).attach_filter(&frame::filter(opening.from))?;
        // SAFETY: what is owned is open, and the same, until it is dropped with its registration.
        let socket = unsafe { AsyncFd::register(socket) }?;
        transmit(&socket, &opening.frame(way, self.tunnel)).await?;
        let answer = loop {
            let mut bytes = [0; LONGEST];
            let length = receive(&socket, &mut bytes).await?;
            if let Some(answer) = frame::answer(bytes.get(..length).unwrap_or_default(), &opening) {
                break answer;
            }
        };
        if answer == Answer::Taken {
            let end = Segment {
                sequence: opening.sequence.wrapping_add(1),
                ends: true,
                ..opening
            };
            transmit(&socket, &end.frame(way, self.tunnel)).await?;
        }
        Ok(answer)
    }
}

async fn transmit(socket: &AsyncFd<OwnedFd>, frame: &[u8]) -> io::Result<()> {
    let sent = socket.async_io(Interest::WRITABLE, |socket| {
        Ok(send(socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)?)
    });
    sent.await.map(drop)
}

async fn receive(socket: &AsyncFd<OwnedFd>, bytes: &mut [u8]) -> io::Result<usize> {
    let received = socket.async_io(Interest::READABLE, |socket| {
        Ok(recv(socket.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT)?)
    });
    received.await
}
