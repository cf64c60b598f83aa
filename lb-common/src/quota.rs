//! What single sources may take of a service: flows opened in a second, flows at the same time, packets in a second.
//!
//! A source is an IPv4 address, or the /64 of an IPv6 address: whoever has one of its addresses has all of them (RFC 6177).
//! Each has a place in the one bucket that a hash of service and source leads to. A place is a source's for as long as it has
//! active flows or a second that is not over; then the next one takes it. Where all places of a bucket are taken, newcomers
//! go uncounted: a flood from forged addresses fills the table, and must not shut out those who are none of it.
//!
//! Two CPUs that give one source two places at once let in a little more of it. What is counted of active flows is uncounted
//! where it was counted, so that these counts are exact.

use crate::{
    address::Address,
    hash::{finish, high, low, mix},
    layout::{Note, Quotas, Service, Settings},
    rate,
    reason::Reason,
    shared::Shared,
    tables::Tables,
};

/// Seed of the hash that leads to buckets; not that of the flow table, lest the two correlate.
const SEED: u64 = 0x6c07_8965_f3ba_2c11;

/// Places of a bucket.
const PLACES: u32 = Quotas::PLACES;

/// In an entry of the flow table, above the place: the flow is counted there.
const COUNTED: u32 = PLACES;

/// The part of an address that tells sources from each other.
#[inline(always)]
pub(crate) fn site<A: Address>(source: A) -> u64 {
    let (site, _) = source.words();
    site
}

/// Counts a new flow of a source, or refuses it; notes where it is counted among the source's active ones. A flow that is
/// moved to another backend was opened before.
///
/// # Errors
///
/// [`Reason::SourceFull`] and [`Reason::SourceFlows`].
#[inline(always)]
pub(crate) fn enter<T: Tables>(
    tables: &T,
    settings: &Settings,
    note: &Note,
    (number, service): (u16, &Service),
    site: u64,
    moved: bool,
) -> Result<(), Reason> {
    note.quota.store(0);
    note.meters.store(u32::from(service.packet_rate.load() != 0));
    let (most, rate) = (service.source_flows.load(), service.flow_rate.load());
    if most == 0 && rate == 0 {
        return Ok(());
    }
    let Some(place) = Place::of(tables, settings, number, site) else {
        return Ok(());
    };
    let is_counted = most != 0 && place.count(most)?;
    if is_counted {
        note.quota.store(place.index().wrapping_add(1));
    }
    if rate == 0 || moved || rate::takes(settings, place.flows(), tables.now(), rate) {
        return Ok(());
    }
    give_back(tables);
    Err(Reason::SourceFlows)
}

/// Uncounts a flow that was to be opened and was not.
#[inline(always)]
pub(crate) fn give_back<T: Tables>(tables: &T) {
    let Some(note) = tables.note() else { return };
    let Some(index) = note.quota.load().checked_sub(1) else {
        return;
    };
    note.quota.store(0);
    uncount(tables, index / PLACES, index);
}

/// What the entry of a flow keeps of where it is counted, from what is noted: four bits, 0 where it is not.
#[inline(always)]
pub(crate) fn counted(note: &Note) -> u8 {
    match note.quota.load().checked_sub(1) {
        Some(index) => ((index & (PLACES - 1) | COUNTED) & 0xff) as u8,
        None => 0,
    }
}

/// Uncounts a flow that is over, by what its entry has kept, if it is counted at all.
///
/// Where it is not, there is no such bucket: without a branch of its own, which the verifier would follow wherever flows end.
#[inline(always)]
pub(crate) fn leave<T: Tables>(tables: &T, number: u16, site: u64, counted: u8) {
    if let Some(settings) = tables.settings() {
        let (bucket, _) = bucket_and_tag(settings, number, site);
        let counted = u32::from(counted);
        let nowhere = (counted / COUNTED).wrapping_sub(1);
        uncount(tables, bucket | nowhere, counted);
    }
}

/// Counts a packet of a source, or refuses it.
///
/// # Errors
///
/// [`Reason::SourcePackets`].
#[inline(always)]
pub(crate) fn send<T: Tables>(
    tables: &T,
    settings: &Settings,
    (number, service): (u16, &Service),
    site: u64,
) -> Result<(), Reason> {
    let rate = service.packet_rate.load();
    if rate == 0 {
        return Ok(());
    }
    match Place::of(tables, settings, number, site) {
        Some(place) if !rate::takes(settings, place.packets(), tables.now(), rate) => {
            Err(Reason::SourcePackets)
        }
        _ => Ok(()),
    }
}

/// A source's place.
struct Place<'t> {
    quotas: &'t Quotas,
    bucket: u32,
    number: u32,
    tag: u32,
}

impl<'t> Place<'t> {
    /// The place that a source has, or else takes; none where all of its bucket are taken, or somebody was faster.
    #[inline(always)]
    fn of<T: Tables>(tables: &'t T, settings: &Settings, service: u16, site: u64) -> Option<Self> {
        let (bucket, tag) = bucket_and_tag(settings, service, site);
        let quotas = tables.quotas(bucket)?;
        let found = held(quotas, tag).or_else(|| free(quotas, tables.now(), settings.second.load()));
        // What only the table knows to be 0 makes one case of all places, as in the flow table.
        let number = found?.wrapping_add(settings.zero.load()) & (PLACES - 1);
        let place = Self {
            quotas,
            bucket,
            number,
            tag,
        };
        let word = place.holder().load();
        let is_ours = high(word) == tag
            || low(word) == 0 && place.holder().compare_exchange(word, u64::from(tag) << 32);
        is_ours.then_some(place)
    }

    /// Counts an active flow, unless there are as many as there may be; says whether it did. It does not where the place
    /// was given to another source a moment ago.
    #[inline(always)]
    fn count(&self, most: u32) -> Result<bool, Reason> {
        let holder = self.holder();
        // Who is refused changes nothing, lest a flood cost more than a look.
        let is_full = |word: u64| high(word) == self.tag && low(word) >= most;
        if is_full(holder.load()) {
            return Err(Reason::SourceFull);
        }
        let before = holder.fetch_add(1);
        let is_ours = high(before) == self.tag;
        if is_ours && !is_full(before) {
            return Ok(true);
        }
        holder.fetch_add(u64::MAX);
        if is_ours {
            Err(Reason::SourceFull)
        } else {
            Ok(false)
        }
    }

    #[inline(always)]
    fn index(&self) -> u32 {
        self.bucket.wrapping_mul(PLACES).wrapping_add(self.number)
    }

    #[inline(always)]
    fn holder(&self) -> &'t Shared<u64> {
        at(&self.quotas.holders, self.number)
    }

    #[inline(always)]
    fn flows(&self) -> &'t Shared<u64> {
        at(&self.quotas.flows, self.number)
    }

    #[inline(always)]
    fn packets(&self) -> &'t Shared<u64> {
        at(&self.quotas.packets, self.number)
    }
}

/// The cell at a place of a bucket.
#[inline(always)]
fn at(cells: &[Shared<u64>; PLACES as usize], place: u32) -> &Shared<u64> {
    let [first, ..] = cells;
    cells.get((place & (PLACES - 1)) as usize).unwrap_or(first)
}

/// The bucket that a source's place is in, and its tag there.
#[inline(always)]
fn bucket_and_tag(settings: &Settings, number: u16, site: u64) -> (u32, u32) {
    let seed = settings.seed.load() ^ SEED;
    let hash = finish(mix(mix(seed, site), u64::from(number)));
    (high(hash) & settings.quota_mask.load(), low(hash) | 1)
}

/// The place that carries a tag.
#[inline(always)]
fn held(quotas: &Quotas, tag: u32) -> Option<u32> {
    let mut holders = (0..).zip(&quotas.holders);
    holders
        .find(|(_, holder)| high(holder.load()) == tag)
        .map(|(place, _)| place)
}

/// A place that is nobody's, or whose source has no active flows and no second under way.
#[inline(always)]
fn free(quotas: &Quotas, now: u32, second: u32) -> Option<u32> {
    let windows = quotas.flows.iter().zip(&quotas.packets);
    let mut places = (0..).zip(quotas.holders.iter().zip(windows));
    let is_over = |window: &Shared<u64>| rate::is_over(window.load(), now, second);
    places
        .find(|(_, (holder, (flows, packets)))| low(holder.load()) == 0 && is_over(flows) && is_over(packets))
        .map(|(place, _)| place)
}

/// One active flow less at a place, of which the lowest bits count.
#[inline(always)]
fn uncount<T: Tables>(tables: &T, bucket: u32, place: u32) {
    if let Some(quotas) = tables.quotas(bucket) {
        at(&quotas.holders, place).fetch_add(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;
    use crate::memory::{Heap, Memory, Sizes, Worker};

    const SERVICE: u16 = 1;
    const SECOND: u32 = 1000;
    const NOW: u32 = 5000;

    fn heap(quotas: u32) -> Heap {
        let heap = Heap::new(&Sizes {
            quotas,
            workers: 8,
            ..Sizes::LEAST
        });
        heap.memory().settings.second.store(SECOND);
        heap
    }

    /// Counts a flow; what its entry is to keep.
    fn enter(memory: &Memory<'_>, worker: &Worker<'_>, site: u64) -> Result<u8, Reason> {
        let note = worker.note().unwrap();
        let service = (SERVICE, &memory.services[0]);
        super::enter(worker, memory.settings, note, service, site, false)?;
        Ok(counted(note))
    }

    fn active(memory: &Memory<'_>) -> u64 {
        let holders = memory.quotas.iter().flat_map(|bucket| &bucket.holders);
        holders.map(|holder| u64::from(low(holder.load()))).sum()
    }

    /// Eight threads, each with flows of two sources.
    #[test]
    fn no_race_lets_more_in_than_there_may_be_or_loses_one() {
        let heap = heap(1);
        let memory = heap.memory();
        memory.services[0].source_flows.store(5);
        let inside = [AtomicU64::new(0), AtomicU64::new(0)];
        // Both have their places before anybody hurries.
        for site in 0..2 {
            let worker = Worker::new(memory, 0, NOW);
            let counted = enter(&memory, &worker, site).unwrap();
            leave(&worker, SERVICE, site, counted);
        }
        let work = |number| {
            let worker = Worker::new(memory, number, NOW);
            for (site, inside) in (0..20_000).flat_map(|_| (0..).zip(&inside)) {
                let Ok(counted) = enter(&memory, &worker, site) else {
                    continue;
                };
                if counted == 0 {
                    continue;
                }
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(now <= 5, "{now} flows where there may be 5");
                inside.fetch_sub(1, Ordering::SeqCst);
                leave(&worker, SERVICE, site, counted);
            }
        };
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || work(number));
            }
        });
        assert_eq!(active(&memory), 0, "everybody has left");
    }

    #[test]
    fn a_place_is_its_sources_for_as_long_as_it_has_flows() {
        let heap = heap(1);
        let memory = heap.memory();
        memory.services[0].source_flows.store(1);
        let worker = Worker::new(memory, 0, NOW);
        let places: Vec<u8> = (0..8)
            .map(|site| enter(&memory, &worker, site).unwrap())
            .collect();
        assert!(places.iter().all(|place| *place != 0), "{places:?}");
        assert_eq!(enter(&memory, &worker, 8), Ok(0), "there is no place");
        assert_eq!(enter(&memory, &worker, 3), Err(Reason::SourceFull));
        leave(&worker, SERVICE, 3, places[3]);
        assert_eq!(
            enter(&memory, &worker, 8),
            Ok(places[3]),
            "the place that is free"
        );
        assert_eq!(active(&memory), 8);
    }

    #[test]
    fn a_place_is_its_sources_for_as_long_as_its_second_lasts() {
        let heap = heap(1);
        let memory = heap.memory();
        memory.services[0].flow_rate.store(1);
        let refused = |now, sites: [u64; 9]| {
            let worker = Worker::new(memory, 0, now);
            sites.map(|site| enter(&memory, &worker, site).is_err())
        };
        let sites = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(refused(NOW, sites), [false; 9]);
        let [known @ .., newcomer] = refused(NOW + SECOND - 1, sites);
        assert_eq!((known, newcomer), ([true; 8], false), "the ninth has no place");
        let others = sites.map(|site| site + 100);
        assert_eq!(refused(NOW + SECOND, others), [false; 9]);
        let [known @ .., _] = refused(NOW + SECOND, others);
        assert_eq!(known, [true; 8], "whose places they are now");
    }

    #[test]
    fn what_could_not_be_opened_is_given_back() {
        let heap = heap(4);
        let memory = heap.memory();
        memory.services[0].source_flows.store(3);
        memory.services[0].flow_rate.store(1);
        let worker = Worker::new(memory, 0, NOW);
        assert!(enter(&memory, &worker, 7).unwrap() != 0);
        give_back(&worker);
        assert_eq!(active(&memory), 0);
        give_back(&worker);
        assert_eq!(active(&memory), 0, "once");
        assert_eq!(enter(&memory, &worker, 7), Err(Reason::SourceFlows));
        assert_eq!(active(&memory), 0, "nor is what was refused");
    }

    #[test]
    fn what_is_counted_nowhere_is_uncounted_nowhere() {
        let heap = heap(2);
        let memory = heap.memory();
        let worker = Worker::new(memory, 0, NOW);
        for site in 0..100 {
            leave(&worker, SERVICE, site, 0);
        }
        assert_eq!(active(&memory), 0);
    }
}
