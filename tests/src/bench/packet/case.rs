//! The kinds of packets.

use anyhow::{Context as _, Result};
use etherparse::{Ipv4Header, Ipv6Header};
use lb_user::config::types::{Encapsulation, Mode};

use crate::{
    Family,
    bench::{
        establish::{establish, establish_one_way},
        kernel::{Kernel, action},
        scene::{Ends, Kind, Protocol},
    },
};

/// A kind of packet.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The wrapper that gives it a fresh frame, and that wrapper alone.
    pub(super) programs: (&'static str, &'static str),
    pub(super) family: Family,
    pub(super) mode: Mode,
    pub(super) packet: Packets,
    /// What must become of it.
    pub(super) action: u32,
    /// Nanoseconds above the floor that it may take, on the machine that the goals were set on.
    pub(super) goal: Option<f64>,
}

/// Which packet it is.
#[derive(Clone, Copy)]
pub(super) enum Packets {
    /// From a client, in an established flow.
    Forth(Protocol),
    /// From the backend, in an established flow.
    Back(Protocol),
    /// From a client, with a checksum that its NIC was to finish, and 1,000 bytes of data.
    Unfinished,
    /// From a client, in an established flow whose backend is behind another interface.
    Across,
    /// The first of a flow.
    First(Protocol),
    /// Data of a flow that there is none of.
    Stray,
    /// To a port that nobody wants.
    Other,
    /// To a port that a flow could have, but at an address that is no service's.
    Near,
    /// ARP.
    NotIp,
}

const SAME_V4: (&str, &str) = ("again_v4", "again_v4_alone");
const SAME_V6: (&str, &str) = ("again_v6", "again_v6_alone");
const PLAIN: (&str, &str) = ("plain", "floor_tx");
const OPEN_V4: (&str, &str) = ("open_v4", "open_v4_alone");
const OPEN_V6: (&str, &str) = ("open_v6", "open_v6_alone");
const UNWRAP_V4: (&str, &str) = ("unwrap_v4", "unwrap_v4_alone");
const UNWRAP_V6: (&str, &str) = ("unwrap_v6", "unwrap_v6_alone");

const TUNNEL: Mode = Mode::Tunnel(Encapsulation::Ipip);

#[rustfmt::skip]
/// All of them.
pub(super) fn cases() -> Vec<Case> {
    use Family::{V4, V6};
    use Packets::{Across, Back, First, Forth, Near, NotIp, Other, Stray, Unfinished};
    use Protocol::{Tcp, Udp};
    use action::{DROP, PASS, REDIRECT, TX};
    let in_mode = |mode, name, programs, family, packet, action, goal|
        Case { name, programs, family, mode, packet, action, goal };
    let case = |name, programs, family, packet, action, goal|
        in_mode(Mode::FullNat, name, programs, family, packet, action, goal);
    vec![
        case("established, TCP v4, to the backend", SAME_V4, V4, Forth(Tcp), TX, Some(35.0)),
        case("established, TCP v4, to the client", SAME_V4, V4, Back(Tcp), TX, Some(35.0)),
        case("established, TCP v4, redirected", SAME_V4, V4, Across, REDIRECT, None),
        case("established, TCP v4, checksum to finish, 1 kB", SAME_V4, V4, Unfinished, TX, None),
        case("established, TCP v6, to the backend", SAME_V6, V6, Forth(Tcp), TX, Some(42.0)),
        case("established, TCP v6, to the client", SAME_V6, V6, Back(Tcp), TX, Some(42.0)),
        case("established, UDP v4, to the backend", SAME_V4, V4, Forth(Udp), TX, Some(35.0)),
        case("established, UDP v4, to the client", SAME_V4, V4, Back(Udp), TX, Some(35.0)),
        case("established, UDP v6, to the backend", SAME_V6, V6, Forth(Udp), TX, Some(42.0)),
        in_mode(Mode::Nat, "established, TCP v4, mode nat, to the backend", SAME_V4, V4, Forth(Tcp), TX, Some(35.0)),
        in_mode(Mode::Nat, "established, TCP v4, mode nat, to the client", SAME_V4, V4, Back(Tcp), TX, Some(35.0)),
        in_mode(Mode::Nat, "established, TCP v6, mode nat, to the backend", SAME_V6, V6, Forth(Tcp), TX, Some(42.0)),
        in_mode(Mode::Dsr, "established, TCP v4, mode dsr", SAME_V4, V4, Forth(Tcp), TX, Some(18.0)),
        in_mode(Mode::Dsr, "established, TCP v6, mode dsr", SAME_V6, V6, Forth(Tcp), TX, None),
        in_mode(TUNNEL, "established, TCP v4, mode tunnel", UNWRAP_V4, V4, Forth(Tcp), TX, Some(24.0)),
        in_mode(TUNNEL, "established, TCP v6, mode tunnel", UNWRAP_V6, V6, Forth(Tcp), TX, None),
        case("new flow, TCP v4", OPEN_V4, V4, First(Tcp), TX, Some(60.0)),
        case("new flow, TCP v6", OPEN_V6, V6, First(Tcp), TX, Some(60.0)),
        case("new flow, UDP v4", OPEN_V4, V4, First(Udp), TX, Some(60.0)),
        case("unknown flow, TCP v4, dropped", PLAIN, V4, Stray, DROP, Some(40.0)),
        case("unknown flow, TCP v6, dropped", PLAIN, V6, Stray, DROP, Some(40.0)),
        case("not for a service, v4, passed", PLAIN, V4, Other, PASS, Some(6.0)),
        case("not for a service, v6, passed", PLAIN, V6, Other, PASS, Some(6.0)),
        case("not for a service, v4, a port of the pool, passed", PLAIN, V4, Near, PASS, None),
        case("not IP, passed", PLAIN, V4, NotIp, PASS, Some(6.0)),
    ]
}

impl Case {
    /// Bytes that are around its frame after each run, and before the first.
    pub(super) fn outer(&self) -> usize {
        match (self.mode, self.family) {
            (Mode::Tunnel(_), Family::V4) => Ipv4Header::MIN_LEN,
            (Mode::Tunnel(_), Family::V6) => Ipv6Header::LEN,
            (Mode::FullNat | Mode::Nat | Mode::Dsr, _) => 0,
        }
    }

    /// A packet of that client; its flow is there when it belongs to one.
    pub(super) fn frame(&self, client: u32, kernel: &mut Kernel) -> Result<Vec<u8>> {
        use Protocol::Tcp;

        let client = Ends::of_client(client, self.family);
        Ok(match self.packet {
            Packets::Forth(protocol) => {
                if self.mode.sees_answers() {
                    open(kernel, client, protocol)?;
                } else {
                    establish_one_way(&kernel.worker()?, client, protocol)?;
                }
                client.frame(protocol, Kind::Data, 22)
            }
            Packets::Back(protocol) => open(kernel, client, protocol)?.frame(protocol, Kind::Data, 22),
            Packets::Across => {
                open(kernel, client, Tcp)?;
                client.frame(Tcp, Kind::Data, 22)
            }
            Packets::Unfinished => {
                open(kernel, client, Tcp)?;
                client.unfinished_frame(1000)
            }
            Packets::First(protocol) => client.frame(protocol, Kind::Open, 22),
            Packets::Stray => client.frame(Tcp, Kind::Reset, 22),
            Packets::Other => client.to_port(22).frame(Tcp, Kind::Data, 22),
            Packets::Near => client.to_port(2222).frame(Tcp, Kind::Data, 22),
            Packets::NotIp => {
                let mut frame = client.frame(Tcp, Kind::Data, 22);
                frame[12..14].copy_from_slice(&[0x08, 0x06]);
                frame
            }
        })
    }
}

/// Opens a flow with its first packets. Returns what the backend's packets to the client carry.
fn open(kernel: &mut Kernel, client: Ends, protocol: Protocol) -> Result<Ends> {
    establish(&kernel.worker()?, client, protocol)?.with_context(|| format!("{client:?} is refused a flow"))
}
