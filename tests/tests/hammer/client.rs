//! Who sends, and what has to become of it.

use std::{net::IpAddr, sync::OnceLock};

use lab::{
    Family,
    bench::scene::{Ends, Kind, Protocol},
};
use lb_common::{Mac, V4, address::Tuple};

/// The interface towards backends. The test run's frames come in by the loopback interface, 1.
pub(crate) const BACKENDS: u32 = 2;

/// Clients that all senders send for; further ones are one sender's own.
pub(crate) const SHARED: u32 = 40;
const ALL: usize = 64;

/// Where a frame's MAC addresses and TCP flags are.
const TO_MAC: std::ops::Range<usize> = 0..6;
const FROM_MAC: std::ops::Range<usize> = 6..12;
const FLAGS: usize = 47;

/// What is known of each client: the address that its packets leave with, and the backend that they go to. Both
/// follow from its address and stay, so that an entry made of two clients' shows.
pub(crate) struct Clients([OnceLock<(IpAddr, (IpAddr, u16))>; ALL]);

impl Clients {
    pub(crate) fn new() -> Self {
        Self([const { OnceLock::new() }; ALL])
    }

    /// Checks addresses and ports that packets of a client left with.
    pub(crate) fn check(&self, client: u32, left: Ends) {
        let fixed = (left.from.0, left.to);
        let first = self.0[client as usize].get_or_init(|| fixed);
        assert_eq!(*first, fixed, "client {client}: {left:?}");
    }
}

/// The client that sends from here.
pub(crate) fn number(of: (IpAddr, u16)) -> u32 {
    (0..)
        .take(ALL)
        .find(|client| ends(*client).from == of)
        .unwrap_or_else(|| panic!("{of:?} is no client"))
}

/// What a client's packets carry.
pub(crate) fn ends(client: u32) -> Ends {
    Ends::of_client(client, Family::V4)
}

/// Both ends of a key.
pub(crate) fn ends_of(key: &Tuple<V4>) -> Ends {
    let end = |address: V4, port: lb_common::Port| (IpAddr::from(address.0), port.number());
    Ends {
        from: end(key.src, key.src_port),
        to: end(key.dst, key.dst_port),
    }
}

/// The MAC address that a client's packets come from, here or where it has moved to.
pub(crate) fn mac(client: u32, moved: bool) -> Mac {
    let [.., high, low] = client.to_be_bytes();
    [2, u8::from(moved), 0, 0, high, low]
}

/// The MAC address that they come to.
pub(crate) fn own_mac(client: u32, moved: bool) -> Mac {
    let [.., high, low] = client.to_be_bytes();
    [2, u8::from(moved), 1, 1, high, low]
}

/// A TCP segment.
pub(crate) fn segment(ends: Ends, flags: u8) -> Vec<u8> {
    let mut frame = ends.frame(Protocol::Tcp, Kind::Data, 0);
    frame[FLAGS] = flags;
    frame
}

/// A client's TCP segment.
pub(crate) fn clients_segment(client: u32, moved: bool, flags: u8) -> Vec<u8> {
    let mut frame = segment(ends(client), flags);
    frame[TO_MAC].copy_from_slice(&own_mac(client, moved));
    frame[FROM_MAC].copy_from_slice(&mac(client, moved));
    frame
}

/// Checks that a frame that left towards a client is that client's by all that it carries.
pub(crate) fn check_to_client(frame: &[u8]) -> u32 {
    let ends = Ends::of_frame(frame).expect("a frame");
    let client = number(ends.to);
    assert_eq!(ends.from, self::ends(client).to);
    let macs = (&frame[TO_MAC], &frame[FROM_MAC]);
    let ways = [false, true].map(|moved| (mac(client, moved), own_mac(client, moved)));
    assert!(
        ways.iter().any(|(mac, own)| macs == (&mac[..], &own[..])),
        "client {client}: {macs:02x?}"
    );
    client
}
