//! Single packets of the daemon's own, beside those that are forwarded.

use std::{
    io,
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};

use super::af_packet;
use crate::flows::Shot;

/// Sends a packet.
pub fn shoot(shot: &Shot) -> io::Result<()> {
    match shot {
        Shot::Frame { interface, bytes } => af_packet::send(*interface, bytes),
        Shot::Own { to, bytes } => own(*to, bytes),
    }
}

/// Gives this host an IP packet as if it came from outside.
fn own(to: IpAddr, packet: &[u8]) -> io::Result<()> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    // Such a socket's packets bring their own IP header.
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    let descriptor = socket.as_raw_fd();
    match to {
        IpAddr::V4(to) => {
            let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
            sendto(descriptor, packet, &to, MsgFlags::empty())?;
        }
        IpAddr::V6(to) => {
            let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0));
            sendto(descriptor, packet, &to, MsgFlags::empty())?;
        }
    }
    Ok(())
}
