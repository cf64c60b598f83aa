//! The kernel's tables, mapped.

use std::{io, os::fd::AsFd as _};

use aya::{Ebpf, maps::Map};
use lb_common::{
    V4, V6,
    flow::Bucket,
    layout::{
        Account, Backend, BackendCounters, Border, ChoiceWord, DATAGRAM_ROWS, Datagrams, Ended, Ends, Note,
        PacketCounters, Quotas, Service, ServiceSlot, Settings, Source, Watch,
    },
    memory::Memory,
    shared::Shared,
};

use super::LoadError;
use crate::dataplane::{
    Capacity,
    mapped::{Mapped, Table},
};

/// What only the flow log needs, and what is made anew where flows are logged from now on, or are not any more: whoever
/// goes on with the other tables then counts in these from nothing.
pub(super) const OF_FLOW_LOG: [&str; 2] = ["ACCOUNTS", "ENDED"];

/// A map's name in the object and its rows.
pub(super) fn sizes(capacity: &Capacity) -> [(&'static str, u32); 18] {
    let sizes = capacity.sizes();
    [
        ("SETTINGS", 1),
        ("SERVICE_SLOTS", sizes.service_slots),
        ("SERVICES", sizes.services),
        ("CHOICES", sizes.choices),
        ("BACKENDS", sizes.backends),
        ("SOURCES", sizes.sources),
        ("FLOWS_V4", sizes.buckets_v4),
        ("FLOWS_V6", sizes.buckets_v6),
        ("DATAGRAMS", DATAGRAM_ROWS),
        ("BORDERS", sizes.borders),
        ("QUOTAS", sizes.quotas),
        ("ACCOUNTS", sizes.accounts()),
        ("ENDED", sizes.ended()),
        ("ENDS", sizes.workers),
        ("WATCH", 1),
        ("NOTES", sizes.workers),
        ("PACKETS", sizes.workers),
        ("TRAFFIC", sizes.workers.saturating_mul(sizes.backends)),
    ]
}

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $row:ty, $name:literal;)*) => {
        /// All tables.
        pub struct Tables {
            $($(#[$doc])* $field: Mapped<$row>,)*
        }

        impl Tables {
            /// Maps the maps of a loaded object.
            pub(super) fn map(ebpf: &Ebpf) -> Result<Self, LoadError> {
                Ok(Self { $($field: map(ebpf, $name)?,)* })
            }
        }

        $(
            // SAFETY: a `repr(C)` record of lb-common, whose changing fields are `Shared` or `Words`.
            unsafe impl Table for $row {}
        )*
    };
}

// SAFETY: a cell. The first of the settings, of whatever version, is their version.
unsafe impl Table for Shared<u32> {}

tables! {
    settings: Settings, "SETTINGS";
    service_slots: ServiceSlot, "SERVICE_SLOTS";
    services: Service, "SERVICES";
    choices: ChoiceWord, "CHOICES";
    backends: Backend, "BACKENDS";
    sources: Source, "SOURCES";
    buckets_v4: Bucket<V4>, "FLOWS_V4";
    buckets_v6: Bucket<V6>, "FLOWS_V6";
    datagrams: Datagrams, "DATAGRAMS";
    borders: Border, "BORDERS";
    quotas: Quotas, "QUOTAS";
    accounts: Account, "ACCOUNTS";
    ended: Ended, "ENDED";
    ends: Ends, "ENDS";
    watch: Watch, "WATCH";
    notes: Note, "NOTES";
    packet_counters: PacketCounters, "PACKETS";
    backend_counters: BackendCounters, "TRAFFIC";
}

impl Tables {
    /// For reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        Memory {
            settings: &self.settings.rows()[0],
            service_slots: self.service_slots.rows(),
            services: self.services.rows(),
            choices: self.choices.rows(),
            backends: self.backends.rows(),
            sources: self.sources.rows(),
            buckets_v4: self.buckets_v4.rows(),
            buckets_v6: self.buckets_v6.rows(),
            datagrams: self.datagrams.rows(),
            borders: self.borders.rows(),
            quotas: self.quotas.rows(),
            accounts: self.accounts.rows(),
            ended: self.ended.rows(),
            ends: self.ends.rows(),
            watch: &self.watch.rows()[0],
            notes: self.notes.rows(),
            packet_counters: self.packet_counters.rows(),
            backend_counters: self.backend_counters.rows(),
        }
    }
}

fn map<T: Table>(ebpf: &Ebpf, name: &'static str) -> Result<Mapped<T>, LoadError> {
    let error = |source| LoadError::Map { name, source };
    let Some(Map::Array(data)) = ebpf.map(name) else {
        return Err(error(io::Error::other("it is not in the object")));
    };
    // An adopted map may have other rows than were asked for.
    let info = data.info().map_err(|reason| error(io::Error::other(reason)))?;
    Mapped::new(data.fd().as_fd(), info.max_entries()).map_err(error)
}
