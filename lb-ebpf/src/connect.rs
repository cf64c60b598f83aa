//! Connections that begin on this host: their destinations, before there is a packet.

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock_addr,
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use lb_common::{Address as _, Port, Tables as _, V4, V6, address::TCP};

use crate::maps::Maps;

/// The connection goes on. What else there is would be an error to whoever connects.
const GO_ON: i32 = 1;

/// Leads IPv4 connections to virtual addresses to a backend.
#[cgroup_sock_addr(connect4)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the macro's entry point hands it over"
)]
pub fn connect4(context: SockAddrContext) -> i32 {
    // SAFETY: the kernel gives the context to this program alone while it runs.
    let socket = unsafe { &mut *context.sock_addr };
    let to = V4(socket.user_ip4.to_ne_bytes()).mapped();
    if let Some((address, port)) = backend(&context, socket, to) {
        socket.user_ip4 = u32::from_ne_bytes(V4::from_mapped(address).0);
        socket.user_port = u32::from(u16::from_ne_bytes(port.0));
    }
    GO_ON
}

/// Leads IPv6 connections to virtual addresses to a backend, and IPv4 ones of sockets that speak both.
#[cgroup_sock_addr(connect6)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the macro's entry point hands it over"
)]
pub fn connect6(context: SockAddrContext) -> i32 {
    // SAFETY: the kernel gives the context to this program alone while it runs.
    let socket = unsafe { &mut *context.sock_addr };
    let to = V6::from_quarters(socket.user_ip6);
    if let Some((address, port)) = backend(&context, socket, to) {
        socket.user_ip6 = address.quarters();
        socket.user_port = u32::from(u16::from_ne_bytes(port.0));
    }
    GO_ON
}

/// Where a TCP connection of our namespace's to a virtual address goes instead.
#[inline(always)]
fn backend(context: &SockAddrContext, socket: &bpf_sock_addr, address: V6) -> Option<(V6, Port)> {
    if socket.protocol != u32::from(TCP) {
        return None;
    }
    // All namespaces share the control group that the program is attached to.
    // SAFETY: the helper reads the context that the program was started with.
    let namespace = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    if Maps.settings()?.namespace.load() != namespace {
        return None;
    }
    let [first, second, ..] = socket.user_port.to_ne_bytes();
    // SAFETY: as above.
    let cookie = unsafe { bpf_get_socket_cookie(context.as_ptr()) };
    lb_common::connect(&Maps, (address, Port([first, second])), TCP, cookie)
}
