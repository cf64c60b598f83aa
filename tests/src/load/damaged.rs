//! Packets that were damaged on their way.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, bail};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

use crate::Namespace;

/// Packets with one bit wrong in their data.
#[derive(Debug, Clone, Copy)]
pub struct Damaged {
    /// Where they come from.
    pub source: SocketAddr,
    /// The service.
    pub target: SocketAddr,
    /// What they are: SYNs, or datagrams.
    pub protocol: SockProtocol,
    /// How many.
    pub count: u64,
}

impl Damaged {
    /// Sends them from `namespace`.
    pub fn run(self, namespace: &Namespace) -> Result<()> {
        namespace.run(|| self.send())
    }

    fn send(self) -> Result<()> {
        let family = match self.target {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        // The kernel puts an IP header before what such a socket sends, and leaves the rest as it is (raw(7)).
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, self.protocol)
            .context("cannot open a raw socket")?;
        let packet = self.packet()?;
        // Raw sockets of IPv6 take a port for a protocol (ipv6(7)).
        let target = SockaddrStorage::from(SocketAddr::new(self.target.ip(), 0));
        for _ in 0..self.count {
            sendto(socket.as_raw_fd(), &packet, &target, MsgFlags::empty())
                .context("cannot send a damaged packet")?;
        }
        Ok(())
    }

    /// The packet behind its IP header.
    fn packet(self) -> Result<Vec<u8>> {
        const DATA: &[u8] = b"damaged on its way";

        let (from, to) = (self.source.port(), self.target.port());
        let mut packet = Vec::new();
        let headers = self.headers()?;
        match self.protocol {
            SockProtocol::Tcp => headers.tcp(from, to, 1, u16::MAX).syn().write(&mut packet, DATA),
            SockProtocol::Udp => headers.udp(from, to).write(&mut packet, DATA),
            other => bail!("{other:?} has no ports"),
        }?;
        if let Some(last) = packet.last_mut() {
            *last ^= 1;
        }
        let header = if self.target.is_ipv4() { 20 } else { 40 };
        Ok(packet.split_off(header))
    }

    fn headers(self) -> Result<PacketBuilderStep<IpHeaders>> {
        match (self.source.ip(), self.target.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Ok(PacketBuilder::ipv4(from.octets(), to.octets(), 64)),
            (IpAddr::V6(from), IpAddr::V6(to)) => Ok(PacketBuilder::ipv6(from.octets(), to.octets(), 64)),
            _ => bail!("two families in one packet"),
        }
    }
}
