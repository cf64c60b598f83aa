//! What a packet is about, as far as who watches can ask.

use crate::{
    address::{Address, TCP, Tuple, UDP, V4, V6},
    detour::{self, Walk},
    flow::{self, State},
    icmp::{self, Icmp},
    packet::Packet,
    parse::Network,
    service,
    tables::Tables,
};

/// What a packet is about. Of a frame that is no IP packet nothing is known.
///
/// Neither of its two steps is inlined: whoever watches calls the stages, and has half of the stack until they return.
#[derive(Debug, Clone, Copy, Default)]
// Service and backend are copied as one word, which has to be aligned on BPF's stack: here and in a sighting.
#[repr(C, align(8))]
pub(super) struct Subject {
    /// Addresses and ports as it came in, IPv4 as IPv4-mapped; of an ICMP error those of what it is about.
    pub(super) tuple: Tuple<V6>,
    /// The client, or whoever else it comes from.
    pub(super) client: V6,
    /// Row of its service plus one; 0: none.
    pub(super) service: u32,
    /// Row of its backend plus one; 0: none.
    pub(super) backend: u32,
    pub(super) client_port: u32,
    /// 0: it is no IP packet.
    pub(super) protocol: u32,
    pub(super) is_v4: u32,
}

impl Subject {
    /// Reads a frame, and finds whose it is.
    #[inline(always)]
    pub(super) fn read<T: Tables>(&mut self, packet: &Packet<'_>, tables: &T) {
        read(self, packet, tables);
        self.find(tables);
    }

    /// Finds the flow, or else the service, and who the client is. What was found before stays where there is nothing now.
    #[inline(always)]
    pub(super) fn find<T: Tables>(&mut self, tables: &T) {
        find(self, tables);
    }
}

#[inline(never)]
fn read<T: Tables>(subject: &mut Subject, packet: &Packet<'_>, tables: &T) {
    match detour::network(packet, tables) {
        Ok((Network::V4, network)) => read_as::<V4, T>(subject, packet, tables, network),
        Ok((Network::V6, network)) => read_as::<V6, T>(subject, packet, tables, network),
        Err(_) => {}
    }
}

#[inline(always)]
fn read_as<A: Walk + Icmp, T: Tables>(
    subject: &mut Subject,
    packet: &Packet<'_>,
    tables: &T,
    network: usize,
) {
    let Ok(walked) = A::walk(packet, tables, network) else {
        return;
    };
    let ip = &walked.carried;
    let mut tuple = Tuple::new(ip.src, ip.dst, 0);
    let mut protocol = ip.protocol;
    if protocol == TCP || protocol == UDP {
        let ports = detour::ports(packet, tables, &walked).unwrap_or_default();
        tuple = Tuple::new(ip.src, ip.dst, ports);
    } else if protocol == A::ICMP
        && let Some(about) = icmp::about(packet, ip)
    {
        (tuple, protocol) = about;
    }
    subject.tuple = Tuple::new(tuple.src.mapped(), tuple.dst.mapped(), tuple.ports());
    subject.client = subject.tuple.src;
    subject.client_port = u32::from(subject.tuple.src_port.number());
    subject.protocol = u32::from(protocol);
    subject.is_v4 = u32::from(!A::IS_V6);
}

#[inline(never)]
fn find<T: Tables>(subject: &mut Subject, tables: &T) {
    if subject.is_v4 == 0 {
        find_as::<V6, T>(subject, tables);
    } else {
        find_as::<V4, T>(subject, tables);
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it was a byte")]
fn find_as<A: Address, T: Tables>(subject: &mut Subject, tables: &T) {
    let Some(settings) = tables.settings() else {
        return;
    };
    let (src, dst) = (
        A::from_mapped(subject.tuple.src),
        A::from_mapped(subject.tuple.dst),
    );
    let tuple = Tuple::new(src, dst, subject.tuple.ports());
    let protocol = subject.protocol as u8;
    let Ok(Some(hit)) = flow::find::<A, T>(tables, settings, &tuple, protocol) else {
        if let Some(service) = service::find(tables, settings, &tuple, protocol) {
            subject.service = service.wrapping_add(1);
        }
        return;
    };
    let (backend, client) = (hit.way.backend(), hit.entry.to());
    if !hit.is_current() {
        return;
    }
    subject.backend = backend.wrapping_add(1);
    let service = tables.backend(backend).map(|record| record.service.load());
    subject.service = u32::from(service.unwrap_or_default());
    if hit.control.state().has(State::REPLY) {
        subject.client = client.dst.mapped();
        subject.client_port = u32::from(client.dst_port.number());
    }
}
