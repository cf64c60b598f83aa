//! What the flow log is written from: counts of a flow's packets beside its entries, and a ring for each worker into which
//! whoever ends a flow copies what is known of it. The daemon reads the rings.
//!
//! All of it is skipped, at the price of looking at a word that is there anyway, where flows are not logged. A flow is
//! logged once: whoever does takes its mark ([`Account::began`]) away, which nobody can twice.

use crate::{
    address::{Address, AddressCell, TCP, Tuple, V6, split},
    flow::{
        control::State,
        entry::{Entry, NO_PARTNER},
        hit::Hit,
        table::{STRIDE, entry_at},
        way::Way,
    },
    hash::low,
    hint::likely,
    layout::{Account, Ended, Settings},
    packet::Packet,
    parse::{Part, Segment},
    shared::Shared,
    tables::Tables,
    wire::TcpHeader,
};

/// Why a flow leaves the table. Of one that is closed, its ends have said so before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Why {
    /// It is closed, or was quiet for too long.
    Over,
    /// Another flow needed its place.
    Evicted,
    /// Another backend takes it: it goes on, and is not logged.
    Moved,
    /// Flows to its backend end.
    BackendEnds,
    /// Somebody ordered it.
    Killed,
    /// The packet path stops.
    Stopped,
}

impl Why {
    /// All that stand in a ring, each at its number.
    const ALL: [Self; 6] = [
        Self::Over,
        Self::Evicted,
        Self::Moved,
        Self::BackendEnds,
        Self::Killed,
        Self::Stopped,
    ];
}

/// In a mark: there is one. Below it stands the time, in ticks, and above it the generation of the flow's entry, by which
/// two flows of one tick differ.
const MARKED: u64 = 1 << 32;

/// In a mark: the flow is older than its account.
const OLDER: u64 = 1 << 63;

/// In a mark that was drafted: there was no row for it.
const NO_ROW: u64 = 1 << 62;

fn mark(generation: u32, now: u32) -> u64 {
    u64::from(generation) << 33 | MARKED | u64::from(now)
}

/// Begins the accounts of a flow, of whose entries these are the places, before anybody can find it.
#[inline(always)]
pub(crate) fn begin<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    (client, reply): (u32, u32),
    now: u32,
) {
    if settings.flow_log.load() != 0 {
        open::<A, T>(tables, client, reply, now);
    }
}

#[inline(never)]
fn open<A: Address, T: Tables>(tables: &T, client: u32, reply: u32, now: u32) {
    let (Some(settings), Some(entry)) = (tables.settings(), entry_at::<A, T>(tables, client)) else {
        return;
    };
    if let Some(account) = account::<A, T>(tables, settings, reply) {
        clear(account, 0);
    }
    if let Some(account) = account::<A, T>(tables, settings, client) {
        clear(account, mark(entry.control().generation(), now));
    }
}

#[inline(always)]
fn clear(account: &Account, began: u64) {
    account.began.store(began);
    account.packets.store(0);
    account.bytes.store(0);
    account.payload.store(0);
}

/// Counts a packet that an entry has led on its way, a frame of that length.
#[inline(always)]
pub(crate) fn count<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    hit: &Hit<'_, A>,
    (packet, segment): (&Packet<'_>, &Segment<A>),
    length: u64,
) {
    if likely(settings.flow_log.load() == 0) {
        return;
    }
    if let Some(account) = account::<A, T>(tables, settings, hit.index()) {
        // Not `add`: packets of one direction may come by two CPUs.
        account.packets.fetch_add(1);
        account.bytes.fetch_add(length);
        account.payload.fetch_add(u64::from(payload(packet, segment)));
    }
}

/// Bytes behind the header, if there is one.
#[inline(always)]
fn payload<A>(packet: &Packet<'_>, segment: &Segment<A>) -> u16 {
    const UDP_LEN: u16 = 8;

    let header = if segment.part == Part::LATER {
        0
    } else if segment.protocol == TCP {
        let header = packet.header::<TcpHeader>(segment.offset);
        header.map_or(0, |header| u16::from(header.data_offset & 0xf0) >> 2)
    } else {
        UDP_LEN
    };
    segment.length.wrapping_sub(header)
}

/// Copies what is known of a flow, found by its client's entry, into the next row of this worker's ring, where it is not
/// to be read yet. Returns its mark; 0: it is not to be logged.
#[inline(always)]
pub(super) fn draft<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>, why: Why) -> u64 {
    match tables.settings() {
        Some(settings) if settings.flow_log.load() != 0 && why != Why::Moved => {}
        _ => return 0,
    }
    let mark = copy(tables, hit.entry, hit.index(), why);
    if mark != 0 && mark & NO_ROW == 0 {
        copy_counts(tables, hit.entry, hit.index());
    }
    mark
}

/// The flow itself. This and the next are functions of their own, since flows end in many places, and two, since what they
/// need of the stack comes on top of the deepest that there is.
#[inline(never)]
fn copy<A: Address, T: Tables>(tables: &T, entry: &Entry<A>, index: u32, why: Why) -> u64 {
    let Some(settings) = tables.settings() else {
        return 0;
    };
    let Some(sent) = account::<A, T>(tables, settings, index) else {
        return 0;
    };
    let answered = account::<A, T>(tables, settings, entry.partner());
    let payload = sent.payload.load() | answered.map_or(0, |account| account.payload.load());
    let began = sent.began.load();
    if began == 0 || payload == 0 && settings.log_null.load() == 0 {
        return 0;
    }
    let Some(ends) = tables.ends() else { return 0 };
    let written = ends.written.load();
    if written.wrapping_sub(ends.read.load()) >= u64::from(Ended::ROWS) {
        return began | NO_ROW;
    }
    let Some(row) = tables.ended(low(written) & (Ended::ROWS - 1)) else {
        return began | NO_ROW;
    };
    entry.copy_to(row);
    row.began.store(began);
    row.ended.store(tables.now());
    row.why.store(why as u32);
    began
}

/// What went in both directions, and the row's number.
#[inline(never)]
fn copy_counts<A: Address, T: Tables>(tables: &T, entry: &Entry<A>, index: u32) {
    let (Some(settings), Some(ends)) = (tables.settings(), tables.ends()) else {
        return;
    };
    let written = ends.written.load();
    let Some(row) = tables.ended(low(written) & (Ended::ROWS - 1)) else {
        return;
    };
    row.number.store(written.wrapping_add(1));
    if let Some(sent) = account::<A, T>(tables, settings, index) {
        copy_account(&row.sent, sent);
    }
    match account::<A, T>(tables, settings, entry.partner()) {
        Some(account) => {
            copy_account(&row.answered, account);
            let last = entry_at::<A, T>(tables, entry.partner()).map_or(0, |reply| reply.seen.load());
            if is_later(last, row.seen.load()) {
                row.seen.store(last);
            }
        }
        None => row.answered.iter().for_each(|word| word.store(0)),
    }
}

#[inline(always)]
fn copy_account([packets, bytes, payload]: &[Shared<u64>; 3], account: &Account) {
    packets.store(account.packets.load());
    bytes.store(account.bytes.load());
    payload.store(account.payload.load());
}

#[inline(always)]
const fn is_later(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) < u32::MAX / 2
}

/// Lets the daemon read what was drafted of a flow whose client's entry stands, or stood, there; or counts it as lost.
#[inline(never)]
pub(super) fn commit<A: Address, T: Tables>(tables: &T, index: u32, mark: u64) {
    let Some(settings) = tables.settings() else { return };
    let Some(account) = account::<A, T>(tables, settings, index) else {
        return;
    };
    let Some(ends) = tables.ends() else { return };
    if !account.began.compare_exchange(mark & !NO_ROW, 0) {
        return;
    }
    if mark & NO_ROW == 0 {
        ends.written.add(1);
    } else {
        ends.lost.add(1);
    }
}

/// Logs a flow that stays in the table, if it has not been logged.
pub fn log<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>, why: Why) {
    let mark = draft(tables, hit, why);
    if mark != 0 && hit.is_current() {
        commit::<A, T>(tables, hit.index(), mark);
    }
}

/// Has a flow logged when it ends that began while flows were not. To be done once for each, when they are from then on.
pub fn take_up<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) {
    let account = tables
        .settings()
        .and_then(|settings| account::<A, T>(tables, settings, hit.index()));
    if let Some(account) = account {
        // One that has a mark began a moment ago.
        let _marked = account
            .began
            .compare_exchange(0, mark(hit.control.generation(), 0) | OLDER);
    }
}

/// The account of the entry that stands there.
#[inline(always)]
fn account<'t, A: Address, T: Tables>(tables: &'t T, settings: &Settings, index: u32) -> Option<&'t Account> {
    if index == NO_PARTNER {
        return None;
    }
    let before = if A::IS_V6 {
        settings
            .bucket_mask_v4
            .load()
            .wrapping_add(1)
            .wrapping_mul(STRIDE)
    } else {
        0
    };
    tables.account(before.wrapping_add(index))
}

/// A flow that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What its client's packets carried.
    pub key: Tuple<V6>,
    /// What they left with.
    pub to: Tuple<V6>,
    /// Where its client was, its backend, and what was done to its packets.
    pub way: Way,
    /// When it began, in ticks; none: before flows were logged.
    pub began: Option<u32>,
    /// When its last packet came, in ticks.
    pub seen: u32,
    /// When it was found to be over, in ticks.
    pub ended: u32,
    /// How far it had come.
    pub state: State,
    /// Why it left the table.
    pub why: Why,
    /// What its client has sent: packets, bytes, and the payload of these.
    pub sent: [u64; 3],
    /// The same of its backend.
    pub answered: [u64; 3],
}

impl Ended {
    /// What the row says, if it is the row of this number.
    #[must_use]
    pub fn record(&self, number: u64) -> Option<Record> {
        let why = Why::ALL.get(usize::try_from(self.why.load()).ok()?);
        if self.number.load() != number {
            return None;
        }
        let [src, dst, to_src, to_dst] = self.addresses.each_ref().map(AddressCell::load);
        let (ports, to_ports) = split(self.ports.load());
        let began = self.began.load();
        Some(Record {
            key: Tuple::new(src, dst, ports),
            to: Tuple::new(to_src, to_dst, to_ports),
            way: Way(self.way.load()),
            began: (began & OLDER == 0).then_some(low(began)),
            seen: self.seen.load(),
            ended: self.ended.load(),
            state: State((self.state.load() & 0xff) as u8),
            why: *why?,
            sent: self.sent.each_ref().map(Shared::<u64>::load),
            answered: self.answered.each_ref().map(Shared::<u64>::load),
        })
    }
}
