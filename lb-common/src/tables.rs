//! What the packet path asks of its surroundings: memory, time, a sum over many bytes, and room around a frame.

use crate::{
    address::{V4, V6},
    checksum::Sum,
    flow::Bucket,
    layout::{
        Account, Backend, BackendCounters, Border, COMPLETE_PARTIAL, ChoiceWord, Datagrams, Ended, Ends,
        Note, PacketCounters, Quotas, Service, ServiceSlot, Settings, Source, Watch,
    },
    packet::Packet,
};

/// The tables, the clock and the counters. Implemented over BPF maps and over plain memory.
///
/// Each look-up is by index and `None` beyond the table's end; nothing here searches.
pub trait Tables {
    /// What every packet needs to know.
    fn settings(&self) -> Option<&Settings>;
    /// A slot of the service index.
    fn service_slot(&self, index: u32) -> Option<&ServiceSlot>;
    /// A service.
    fn service(&self, index: u32) -> Option<&Service>;
    /// Four slots of the choice table.
    fn choices(&self, index: u32) -> Option<&ChoiceWord>;
    /// A backend.
    fn backend(&self, index: u32) -> Option<&Backend>;
    /// A source address.
    fn source(&self, index: u32) -> Option<&Source>;
    /// A bucket of the IPv4 flow table.
    fn bucket_v4(&self, index: u32) -> Option<&Bucket<V4>>;
    /// A bucket of the IPv6 flow table.
    fn bucket_v6(&self, index: u32) -> Option<&Bucket<V6>>;
    /// Datagrams whose ports are remembered for their fragments.
    fn datagrams(&self, index: u32) -> Option<&Datagrams>;
    /// A row of the lists of networks.
    fn border(&self, index: u32) -> Option<&Border>;
    /// What some sources have taken of their services.
    fn quotas(&self, index: u32) -> Option<&Quotas>;
    /// The account of an entry: those of the IPv4 flow table first.
    fn account(&self, index: u32) -> Option<&Account>;
    /// A row of this worker's ring of flows that have ended, at most [`Ended::ROWS`].
    fn ended(&self, index: u32) -> Option<&Ended>;
    /// How far this worker's ring is written and read.
    fn ends(&self) -> Option<&Ends>;
    /// What is watched.
    fn watch(&self) -> Option<&Watch>;
    /// This worker's note.
    fn note(&self) -> Option<&Note>;
    /// This worker's packet counters.
    fn packet_counters(&self) -> Option<&PacketCounters>;
    /// This worker's counters of a backend; `settings` are the table's own.
    fn backend_counters(&self, settings: &Settings, backend: u32) -> Option<&BackendCounters>;
    /// The sum of bytes, a multiple of four and at most 512: the kernel has a fast one.
    fn sum<const N: usize>(&self, bytes: &[u8; N]) -> Sum;
    /// Whether a checksum that a sender left to its NIC stays so: whoever sends the packet on knows that it is. An engine
    /// that is told which packets have such a checksum knows better than the settings.
    #[inline(always)]
    fn keeps_partial_checksum(&self, settings: &Settings) -> bool {
        settings.partial_checksums.load() != COMPLETE_PARTIAL
    }
    /// Moves a frame's start and end, each by that many bytes towards the frame's end; says whether it did. Bytes that
    /// come in are what they happen to be, and nothing that was known of the frame's length holds any more.
    fn resize(&self, packet: &mut Packet<'_>, start: i32, end: i32) -> bool;
    /// The clock, in ticks of the engine's choice that wrap around; only differences count.
    fn now(&self) -> u32;
}
