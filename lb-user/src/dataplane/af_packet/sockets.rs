//! Packet sockets: one for each thread and interface to take frames from, one for each thread to send by.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    ptr,
};

use nix::{
    getsockopt_impl, setsockopt_impl, sockopt_impl,
    sys::socket::{
        AddressFamily, GetSockOpt as _, MsgFlags, SetSockOpt as _, SockFlag, SockType, recv, socket,
        sockopt::{RcvBufForce, SndBufForce},
    },
};

use super::batch::{ADDRESS_LENGTH, link_layer};

/// Bytes of frames that may wait in a socket, with what the kernel needs for their keeping.
const WAITING: usize = 16 << 20;

sockopt_impl!(
    /// Each frame has a `virtio_net_hdr` before it.
    UnfinishedHeader,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_VNET_HDR,
    bool
);
sockopt_impl!(
    /// Each frame comes with a `tpacket_auxdata`.
    AuxiliaryData,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_AUXDATA,
    bool
);
sockopt_impl!(
    /// Which of several sockets gets a frame: the group in the lower half, how to choose and flags in the upper.
    Fanout,
    Both,
    libc::SOL_PACKET,
    libc::PACKET_FANOUT,
    u32
);
sockopt_impl!(
    /// Frames taken and dropped since it was last asked.
    Statistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats
);

/// All sockets that share the frames of one interface.
#[derive(Debug)]
pub(super) struct Group {
    /// The interface.
    pub(super) interface: u32,
    /// One for each thread.
    pub(super) sockets: Vec<OwnedFd>,
}

impl Group {
    /// Opens as many sockets as there are threads. From now on each frame comes to one of them.
    pub(super) fn open(interface: u32, threads: usize) -> io::Result<Self> {
        // The kernel chooses the group's number: others have groups, too.
        let first = receiver(interface)?;
        Fanout.set(&first, &(mode(libc::PACKET_FANOUT_FLAG_UNIQUEID)))?;
        let number = Fanout.get(&first)? & 0xffff;
        let mut sockets = vec![first];
        for _ in 1..threads {
            let socket = receiver(interface)?;
            Fanout.set(&socket, &(number | mode(0)))?;
            sockets.push(socket);
        }
        // Until it was in the group, each got all frames.
        sockets.iter().try_for_each(empty)?;
        Ok(Self { interface, sockets })
    }

    /// Frames that found their socket full since this was last asked.
    pub(super) fn dropped(&self) -> u64 {
        let dropped = |socket: &OwnedFd| Statistics.get(socket).map_or(0, |statistics| statistics.tp_drops);
        self.sockets.iter().map(|socket| u64::from(dropped(socket))).sum()
    }
}

/// A socket to send by.
pub(super) fn sender() -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    UnfinishedHeader.set(&socket, &true)?;
    SndBufForce.set(&socket, &WAITING)?;
    Ok(socket)
}

/// Sends one frame that is complete, out of the interface with this number.
pub(in crate::dataplane) fn send(interface: u32, frame: &[u8]) -> io::Result<()> {
    let socket = packet_socket()?;
    let address = link_layer(interface);
    // SAFETY: frame and address have the lengths that are given, and live until the call has ended.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            ptr::from_ref(&address).cast(),
            ADDRESS_LENGTH,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// All that comes in by one interface.
fn receiver(interface: u32) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    UnfinishedHeader.set(&socket, &true)?;
    AuxiliaryData.set(&socket, &true)?;
    RcvBufForce.set(&socket, &WAITING)?;
    bound(socket, interface)
}

/// A socket for single frames, that those of one interface come to and leave by.
pub(crate) fn frames_of(interface: u32) -> io::Result<OwnedFd> {
    bound(packet_socket()?, interface)
}

fn bound(socket: OwnedFd, interface: u32) -> io::Result<OwnedFd> {
    let mut address = link_layer(interface);
    address.sll_protocol = ALL_PROTOCOLS.to_be();
    // SAFETY: the address is one, of that length, and lives until the call has ended.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), ADDRESS_LENGTH) };
    if bound == 0 {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A socket that nothing comes to yet.
fn packet_socket() -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Throws away what waits in a socket.
fn empty(socket: &OwnedFd) -> io::Result<()> {
    loop {
        match recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Ok(_) => {}
            Err(nix::errno::Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// `ETH_P_ALL` (`include/uapi/linux/if_ether.h`).
const ALL_PROTOCOLS: u16 = 3;

/// By the flow's hash, so that a flow's frames stay in order. What this host sends is not looked at; a kernel that does
/// not know that flag shows it all the same, and it is left alone later.
fn mode(flags: u32) -> u32 {
    (libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING | flags) << 16
}
