//! The rows. Each module's list at its top is what it has rows for.

mod checksums;
mod connections;
mod direct;
mod fragments;
mod headers;
mod local;
mod nat;
mod refusals;
mod services;
mod tables;

/// Makes tests of stories: each is told once for each address family named, on every engine.
macro_rules! rows {
    ($($row:ident: $($family:ident)+;)+) => {
        $(mod $row {
            $(#[test]
            fn $family() {
                $crate::bench::play($crate::rows::family!($family), super::$row);
            })+
        })+
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
