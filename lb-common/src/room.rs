//! Room for active flows: counts of them, and the most that they may come to.
//!
//! A flow is counted where its entries are published and uncounted where its client's entry is closed or freed, each once
//! and by whoever does it. So the counts are exact whatever becomes of the daemon, and no count is ever above its limit
//! for longer than it takes to see that it is. Half-open flows are counted beside them, in the same way.

use crate::{
    layout::{Backend, Service},
    reason::Reason,
    shared::Shared,
    tables::Tables,
};

/// Whether one more would be let in.
#[inline(always)]
pub(crate) fn has_room(active: &Shared<u64>, most: &Shared<u32>) -> bool {
    let most = most.load();
    most == 0 || active.load() < u64::from(most)
}

/// Counts a flow with its backend and service, unless one of them is full.
///
/// Exact however many CPUs open flows at once: each sees a number of its own. One that sees a number too many takes it
/// back, and meanwhile the next may be refused though there is room for it.
#[inline(always)]
pub(crate) fn enter<T: Tables>(tables: &T, backend: &Backend) -> Result<(), Reason> {
    let service = service_of(tables, backend).ok_or(Reason::NotReady)?;
    if !count(&service.active, &service.maxconn) {
        return Err(Reason::ServiceFull);
    }
    if !count(&backend.active, &backend.maxconn) {
        uncount(&service.active);
        return Err(Reason::BackendFull);
    }
    service.half_open.fetch_add(1);
    Ok(())
}

/// Counts a flow as half-open no more: it is established, or over.
#[inline(always)]
pub(crate) fn open<T: Tables>(tables: &T, backend: &Backend) {
    if let Some(service) = service_of(tables, backend) {
        uncount(&service.half_open);
    }
}

/// Uncounts a flow that is over.
#[inline(always)]
pub(crate) fn leave<T: Tables>(tables: &T, backend: &Backend) {
    uncount(&backend.active);
    if let Some(service) = service_of(tables, backend) {
        uncount(&service.active);
    }
}

/// The service that a backend is of; the row is its own for as long as there are flows.
#[inline(always)]
fn service_of<'t, T: Tables>(tables: &'t T, backend: &Backend) -> Option<&'t Service> {
    tables.service(u32::from(backend.service.load()).wrapping_sub(1))
}

#[inline(always)]
fn count(active: &Shared<u64>, most: &Shared<u32>) -> bool {
    let most = most.load();
    if active.fetch_add(1) < u64::from(most) || most == 0 {
        return true;
    }
    uncount(active);
    false
}

#[inline(always)]
fn uncount(active: &Shared<u64>) {
    active.fetch_add(u64::MAX);
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;
    use crate::memory::{Heap, Sizes, Worker};

    /// Eight threads at five places for flows of a backend, and seven of its service.
    #[test]
    fn no_race_lets_more_in_than_there_is_room_for_or_loses_a_place() {
        let heap = Heap::new(&Sizes {
            backends: 2,
            ..Sizes::LEAST
        });
        let memory = heap.memory();
        let service = &memory.services[0];
        service.maxconn.store(7);
        for backend in memory.backends {
            backend.service.store(1);
            backend.maxconn.store(5);
        }
        let inside = [AtomicU64::new(0), AtomicU64::new(0)];
        thread::scope(|scope| {
            for thread in 0..8 {
                let inside = &inside;
                scope.spawn(move || {
                    let tables = Worker::new(memory, 0, 0);
                    let (backend, inside) = (&memory.backends[thread % 2], &inside[thread % 2]);
                    for _ in 0..20_000 {
                        if enter(&tables, backend).is_err() {
                            continue;
                        }
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= 5, "{now} flows where there is room for 5");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        open(&tables, backend);
                        leave(&tables, backend);
                    }
                });
            }
        });
        let left = [
            &service.active,
            &service.half_open,
            &memory.backends[0].active,
            &memory.backends[1].active,
        ];
        for count in left {
            assert_eq!(count.load(), 0, "everybody has left");
        }
    }
}
