//! A packet's way, from first byte to verdict: the stages that it goes through.

use crate::{
    answer::{error, reset},
    begin::{begin_v4, begin_v6},
    begin_local::begin_local,
    choose::choose,
    cookie::cookie,
    deliver::deliver,
    detour::{detour, detour_v6},
    encapsulate::encapsulate,
    follow::follow,
    hint::unlikely,
    icmp::icmp,
    layout::PacketCounters,
    make_room::make_room,
    meter::meter,
    opaque,
    packet::Packet,
    parse::NotPlain,
    reason::Reason,
    reopen::reopen,
    retry::retry,
    splice::splice,
    tables::Tables,
    verdict::Verdict,
    verify::verify,
};

/// A part of a packet's way. Nearly every packet needs the first one only.
///
/// On the BPF target each is a program of its own, and they go on in each other by tail calls: together they do not fit
/// the 512 bytes of stack, and calls of subprograms cost ten nanoseconds each where a CPU's return instructions have
/// to be made safe (SRSO on AMD's Zen).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Forwards packets of known flows and leaves alone what is not for a service: [`follow`].
    Follow,
    /// Chooses backends for new flows: [`choose`].
    Choose,
    /// Opens flows over IPv4: [`begin_v4`].
    BeginV4,
    /// Opens flows over IPv6: [`begin_v6`].
    BeginV6,
    /// Ends flows, and answers with RST: [`reset`].
    Reset,
    /// Sends packets within others: [`encapsulate`].
    Encapsulate,
    /// Moves connections that their backend does not take: [`retry`].
    Retry,
    /// Forwards ICMP errors about flows, and answers pings: [`icmp`].
    Icmp,
    /// Forwards packets whose ports take a longer look to find: [`detour`].
    Detour,
    /// The same over IPv6: [`detour_v6`].
    DetourV6,
    /// Answers with an ICMP error: [`error`].
    Error,
    /// Hands packets to backends on this host: [`deliver`].
    Deliver,
    /// Opens flows to them: [`begin_local`].
    BeginLocal,
    /// Counts packets of sources that may send so many: [`meter`].
    Meter,
    /// Answers SYNs of a flood, and takes the acknowledgements: [`cookie`].
    Cookie,
    /// Forwards packets of flows that are opened so: [`splice`].
    Splice,
    /// Refuses packets that were damaged on their way: [`verify`].
    Verify,
    /// Evicts flows for new ones: [`make_room`].
    MakeRoom,
    /// Opens flows in the entries of their clients' last ones: [`reopen`].
    Reopen,
}

impl Stage {
    /// All of them, each at its number.
    pub const ALL: [Self; 19] = [
        Self::Follow,
        Self::Choose,
        Self::BeginV4,
        Self::BeginV6,
        Self::Reset,
        Self::Encapsulate,
        Self::Retry,
        Self::Icmp,
        Self::Detour,
        Self::DetourV6,
        Self::Error,
        Self::Deliver,
        Self::BeginLocal,
        Self::Meter,
        Self::Cookie,
        Self::Splice,
        Self::Verify,
        Self::MakeRoom,
        Self::Reopen,
    ];

    /// The name of its program in the eBPF object.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Follow => "ballast",
            Self::Choose => "choose",
            Self::BeginV4 => "begin_v4",
            Self::BeginV6 => "begin_v6",
            Self::Reset => "reset",
            Self::Encapsulate => "encapsulate",
            Self::Retry => "retry",
            Self::Icmp => "icmp",
            Self::Detour => "detour",
            Self::DetourV6 => "detour_v6",
            Self::Error => "error",
            Self::Deliver => "deliver",
            Self::BeginLocal => "begin_local",
            Self::Meter => "meter",
            Self::Cookie => "cookie",
            Self::Splice => "splice",
            Self::Verify => "verify",
            Self::MakeRoom => "make_room",
            Self::Reopen => "reopen",
        }
    }
}

/// What a stage comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The packet's way ends: what becomes of it is decided and counted.
    Decided(Verdict),
    /// It goes on there.
    Next(Stage),
}

/// How many stages a packet goes through at most: as many as the kernel lets follow each other (`MAX_TAIL_CALL_CNT`, and
/// the first). Only a flow that is evicted as often as it is opened needs so many.
const MOST_STAGES: u32 = 34;

/// Decides on a packet, rewrites it where it is to be forwarded, and counts it: goes through the stages.
pub fn process<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Verdict {
    let mut stage = Stage::Follow;
    for _ in 0..MOST_STAGES {
        let outcome = match stage {
            Stage::Follow => follow(packet, tables),
            Stage::Choose => choose(packet, tables),
            Stage::BeginV4 => begin_v4(packet, tables),
            Stage::BeginV6 => begin_v6(packet, tables),
            Stage::Reset => reset(packet, tables),
            Stage::Encapsulate => encapsulate(packet, tables),
            Stage::Retry => retry(packet, tables),
            Stage::Icmp => icmp(packet, tables),
            Stage::Detour => detour(packet, tables),
            Stage::DetourV6 => detour_v6(packet, tables),
            Stage::Error => error(packet, tables),
            Stage::Deliver => deliver(packet, tables),
            Stage::BeginLocal => begin_local(packet, tables),
            Stage::Meter => meter(packet, tables),
            Stage::Cookie => cookie(packet, tables),
            Stage::Splice => splice(packet, tables),
            Stage::Verify => verify(packet, tables),
            Stage::MakeRoom => make_room(packet, tables),
            Stage::Reopen => reopen(packet, tables),
        };
        match outcome {
            Outcome::Decided(verdict) => return verdict,
            Outcome::Next(next) => stage = next,
        }
    }
    refuse(tables, Reason::FlowContended)
}

/// Counts a packet that is not forwarded.
#[inline(always)]
pub fn refuse<T: Tables>(tables: &T, reason: Reason) -> Verdict {
    let verdict = reason.verdict();
    count(tables, verdict);
    verdict
}

/// Why a packet is not forwarded by the stage that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is not forwarded at all.
    Refused(Reason),
    /// Another stage knows.
    To(Stage),
}

impl From<Reason> for Exit {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<NotPlain> for Exit {
    #[inline(always)]
    fn from(why: NotPlain) -> Self {
        match why {
            NotPlain::Icmp => Self::To(Stage::Icmp),
            NotPlain::Unusual => Self::To(Stage::Detour),
            NotPlain::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// What a stage comes to, counted.
#[inline(always)]
pub(crate) fn conclude<T: Tables>(tables: &T, result: Result<Verdict, Exit>) -> Outcome {
    match result {
        Ok(verdict) => {
            // Who forwards a packet counts it by its backend.
            if unlikely(verdict.reason_index().is_some()) {
                count(tables, verdict);
            }
            Outcome::Decided(verdict)
        }
        Err(Exit::Refused(reason)) => Outcome::Decided(refuse(tables, reason)),
        Err(Exit::To(stage)) => Outcome::Next(stage),
    }
}

#[inline(always)]
fn count<T: Tables>(tables: &T, verdict: Verdict) {
    let Some(counters) = tables.packet_counters() else {
        return;
    };
    if let Some(counter) = counters.verdicts.get(opaque::number(verdict.index())) {
        counter.add(1);
    }
    if let Some(reason) = verdict.reason_index() {
        counters.latest.store(reason as u64);
        count_in(counters, reason);
    }
}

/// Counts why a packet goes nowhere that came in by no interface, and so has no verdict.
#[inline(always)]
pub(crate) fn count_reason<T: Tables>(tables: &T, reason: Reason) {
    if let Some(counters) = tables.packet_counters() {
        count_in(counters, reason as usize);
    }
}

#[inline(always)]
fn count_in(counters: &PacketCounters, reason: usize) {
    if let Some(counter) = counters.reasons.get(opaque::number(reason)) {
        counter.add(1);
    }
}
