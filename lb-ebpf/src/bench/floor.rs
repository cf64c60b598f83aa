//! The least that any program costs.

use aya_ebpf::{bindings::xdp_action::XDP_TX, macros::xdp, programs::XdpContext};
use lb_common::{
    packet::Packet,
    wire::{ETHERTYPE_IPV4, EthernetHeader, Ipv4Hdr, TcpHeader},
};

use crate::maps;

/// Returns.
#[xdp]
#[inline(always)]
pub fn floor_tx(_context: XdpContext) -> u32 {
    XDP_TX
}

/// Parses down to the ports and swaps the MAC addresses, as a mirror would.
#[xdp]
#[inline(always)]
pub fn floor_swap(context: XdpContext) -> u32 {
    swap(&mut maps::frame(&context)).unwrap_or(XDP_TX)
}

#[inline(always)]
fn swap(packet: &mut Packet<'_>) -> Option<u32> {
    let ip = packet.header::<Ipv4Hdr>(EthernetHeader::LEN)?;
    let tcp = packet.header::<TcpHeader>(EthernetHeader::LEN.wrapping_add(size_of::<Ipv4Hdr>()))?;
    // Depends on what was parsed, or the compiler would not parse.
    let action = XDP_TX
        .wrapping_add(u32::from(ip.vihl != 0x45))
        .wrapping_add(u32::from(tcp.dst == [0, 0]));
    let frame = packet.header_mut::<EthernetHeader>(0)?;
    if frame.ether_type != ETHERTYPE_IPV4 {
        return None;
    }
    core::mem::swap(&mut frame.src, &mut frame.dst);
    Some(action)
}
