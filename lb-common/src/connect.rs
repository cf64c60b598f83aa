//! Connections that begin on this host: they find their service before they have packets.

use crate::{
    address::{AddressCell as _, Port, Tuple, V6},
    choice, service,
    tables::Tables,
};

/// Where a connection of this host's own to a virtual address goes instead: address and port of a backend, chosen as for
/// clients elsewhere. `None` if it is to no service, or to one without a backend.
///
/// `cookie` tells it from others: address and port of its own it has none yet. IPv4 addresses are IPv4-mapped.
///
/// It is not translated any further and stands in no flow table. It is counted as a flow that has opened and closed.
#[inline(always)]
pub fn connect<T: Tables>(tables: &T, to: (V6, Port), protocol: u8, cookie: u64) -> Option<(V6, Port)> {
    let settings = tables.settings()?;
    let (dst, dst_port) = to;
    let connection = Tuple {
        src: V6::default(),
        src_port: Port::new(low(cookie)),
        dst,
        dst_port,
    };
    let service = service::find(tables, settings, &connection, protocol)?;
    let index = choice::pick(tables, tables.service(service)?, &connection).ok()?;
    let backend = tables.backend(index)?;
    if let Some(counters) = tables.backend_counters(settings, index) {
        // Packets that come meanwhile count in the same row.
        counters.flows_opened.fetch_add(1);
        counters.flows_closed.fetch_add(1);
    }
    let port = Port(backend.port.load().to_ne_bytes());
    Some((backend.address.load(), port))
}

/// The part of a cookie that differs most from the next one's.
#[inline(always)]
const fn low(cookie: u64) -> u16 {
    (cookie & 0xffff) as u16
}
