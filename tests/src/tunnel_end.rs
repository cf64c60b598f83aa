//! The end of a tunnel on a backend: takes packets out of others and hands them to the backend's stack.
//!
//! What a kernel does by its modules `ipip`, `ip6_tunnel`, `sit` and `fou`, done by hand, since a kernel built for a
//! small machine has none of them.

use std::{
    fs::File,
    io::{self, Write as _},
    net::{Ipv6Addr, UdpSocket},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{Namespace, topology::HOST_INTERFACE, xdp_pass::XdpPass};

/// UDP port of GUE.
pub(crate) const GUE_PORT: u16 = 6080;

/// The interface that packets come out of.
const INTERFACE: &str = "tun0";

/// Works until it is dropped.
#[derive(Debug)]
pub(crate) struct TunnelEnd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
    /// Lets the NIC take redirected frames without GRO, which would make one packet of several in tunnels.
    _program: XdpPass,
}

/// What carries packets: an IP header's protocol, or UDP.
#[derive(Debug, Clone, Copy)]
enum Carrier {
    Ip(libc::c_int, libc::c_int),
    Udp,
}

impl TunnelEnd {
    pub(crate) fn open(backend: &Namespace) -> Result<Self> {
        backend.ip_batch(&format!(
            "tuntap add dev {INTERFACE} mode tun\nlink set {INTERFACE} up\n"
        ))?;
        let program = backend.run(|| XdpPass::attach(HOST_INTERFACE))?;
        crate::command::output(
            backend
                .command("ethtool")
                .args(["-K", HOST_INTERFACE, "gro", "off"]),
        )?;
        let tun = backend.run(|| tun().context("cannot open the TUN device"))?;
        let (v4, v6) = (libc::AF_INET, libc::AF_INET6);
        let carriers = [
            Carrier::Ip(v4, libc::IPPROTO_IPIP),
            Carrier::Ip(v4, libc::IPPROTO_IPV6),
            Carrier::Ip(v6, libc::IPPROTO_IPIP),
            Carrier::Ip(v6, libc::IPPROTO_IPV6),
            Carrier::Udp,
        ];
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for carrier in carriers {
            let socket = backend.run(|| {
                carrier
                    .listen()
                    .with_context(|| format!("cannot open {carrier:?}"))
            })?;
            let (tun, stop) = (tun.try_clone()?, Arc::clone(&stop));
            threads.push(std::thread::spawn(move || carrier.carry(&socket, &tun, &stop)));
        }
        Ok(Self {
            stop,
            threads,
            _program: program,
        })
    }
}

impl Drop for TunnelEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")));
            if let Err(error) = ended {
                eprintln!("the end of a tunnel: {error:#}");
            }
        }
    }
}

impl Carrier {
    /// How often a thread looks whether it shall stop.
    const TURN: Duration = Duration::from_millis(100);

    fn listen(self) -> io::Result<UdpSocket> {
        let socket = match self {
            Self::Ip(family, protocol) => {
                // SAFETY: a system call without pointers.
                let descriptor =
                    unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
                if descriptor < 0 {
                    return Err(io::Error::last_os_error());
                }
                // SAFETY: the call succeeded, so this is a new descriptor that nobody else has.
                unsafe { OwnedFd::from_raw_fd(descriptor) }.into()
            }
            // Takes IPv4 too, and IPv6 datagrams without a checksum.
            Self::Udp => without_checksums(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, GUE_PORT))?)?,
        };
        socket.set_read_timeout(Some(Self::TURN))?;
        Ok(socket)
    }

    fn carry(self, socket: &UdpSocket, mut tun: &File, stop: &AtomicBool) -> Result<()> {
        let mut buffer = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            // Only raw sockets of IPv4 hand out the outer header.
            let outer = match self {
                Self::Ip(libc::AF_INET, _) => usize::from(buffer[0] & 0x0f) * 4,
                Self::Ip(..) | Self::Udp => 0,
            };
            tun.write_all(&buffer[outer..length])
                .context("the TUN device takes nothing")?;
        }
        Ok(())
    }
}

/// Has a socket take IPv6 datagrams without a checksum (RFC 6935).
fn without_checksums(socket: UdpSocket) -> io::Result<UdpSocket> {
    /// include/uapi/linux/udp.h
    const UDP_NO_CHECK6_RX: libc::c_int = 102;

    let yes: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&yes)).map_err(io::Error::other)?;
    // SAFETY: the option's value is an integer, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_UDP,
            UDP_NO_CHECK6_RX,
            std::ptr::from_ref(&yes).cast(),
            length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Opens the TUN device of the current thread's namespace.
fn tun() -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all zeros is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(INTERFACE.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: the request is laid out as the call has it, and lives until it returns.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}
