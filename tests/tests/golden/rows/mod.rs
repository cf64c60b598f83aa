//! The rows. Each module's list at its top is what it has rows for.

use std::collections::BTreeSet;

mod checksums;
mod connections;
mod cookies;
mod direct;
mod ends;
mod errors;
pub(crate) mod fragments;
pub(crate) mod headers;
pub(crate) mod icmp;
mod local;
pub(crate) mod long_way;
mod nat;
mod refusals;
mod retries;
mod room;
mod schedulers;
mod services;
mod sources;
mod tables;
mod tunnels;
mod verification;

/// Makes tests of stories: each is told once for each address family named, on every engine.
macro_rules! rows {
    ($($row:ident: $($family:ident)+;)+) => {
        $(mod $row {
            $(#[test]
            fn $family() {
                $crate::bench::play($crate::rows::family!($family), super::$row);
            })+
        })+

        /// The rows, each with the families that it is told for.
        pub(super) const ROWS: &[(&str, &[&str])] = &[$((stringify!($row), &[$(stringify!($family)),+])),+];
    };
}

macro_rules! family {
    (v4) => {
        $crate::world::Family::V4
    };
    (v6) => {
        $crate::world::Family::V6
    };
}

use {family, rows};

/// What stands in the rows' list: printed for people, who want to know what is covered.
#[test]
fn the_list_of_rows_has_each_once() {
    let kinds = [
        ("checksums", checksums::ROWS),
        ("connections", connections::ROWS),
        ("cookies", cookies::ROWS),
        ("direct", direct::ROWS),
        ("ends", ends::ROWS),
        ("errors", errors::ROWS),
        ("fragments", fragments::ROWS),
        ("headers", headers::ROWS),
        ("icmp", icmp::ROWS),
        ("local", local::ROWS),
        ("long_way", long_way::ROWS),
        ("nat", nat::ROWS),
        ("refusals", refusals::ROWS),
        ("retries", retries::ROWS),
        ("room", room::ROWS),
        ("schedulers", schedulers::ROWS),
        ("services", services::ROWS),
        ("sources", sources::ROWS),
        ("tables", tables::ROWS),
        ("tunnels", tunnels::ROWS),
        ("verification", verification::ROWS),
    ];
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for (kind, rows) in kinds {
        let told: usize = rows.iter().map(|(_, families)| families.len()).sum();
        println!("{kind}: {told}");
        for (row, families) in rows {
            println!("    {row}: {}", families.join(" "));
            assert!(seen.insert((kind, row)), "{kind}: {row} stands there twice");
        }
        count += told;
    }
    println!("{count} rows, each on plain memory and in the kernel");
}
