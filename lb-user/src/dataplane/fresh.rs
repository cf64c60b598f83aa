//! Tables before anything is in them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use lb_common::{layout, memory::Memory};

/// Writes the settings of empty tables, all of which are zeros so far.
pub(super) fn initialise(memory: &Memory<'_>) {
    let settings = memory.settings;
    settings.bucket_mask_v4.store(mask(memory.buckets_v4));
    settings.bucket_mask_v6.store(mask(memory.buckets_v6));
    settings.service_mask.store(mask(memory.service_slots));
    settings.backend_capacity.store(rows(memory.backends));
    settings.seed.store(secret());
    settings.version.store(layout::VERSION);
}

fn rows<T>(table: &[T]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}

/// The mask that brings an index into a table whose length is a power of two.
fn mask<T>(table: &[T]) -> u32 {
    rows(table) - 1
}

/// What nobody outside can guess, from the operating system.
fn secret() -> u64 {
    RandomState::new().build_hasher().finish()
}
