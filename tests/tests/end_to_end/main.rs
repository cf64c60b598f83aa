//! The end-to-end suite: the real daemon, real sockets and real processes in the lab. Needs root.
//!
//! `BALLAST_BIN` names the program under test (default: the release build), `BALLAST_REBUILT_BIN` another build of it
//! that takes over from it (default: `target/rebuilt/ballast`), `BALLAST_LAB_DATAPLANE` the engine (default: `xdp`).

mod af_packet;
mod balancing;
mod broken_configuration;
mod choosing;
mod connection;
mod control;
mod ends;
mod failover;
mod health;
mod integrity;
mod lifecycle;
mod local;
mod modes;
mod one_armed;
mod removal;
mod sizes;
mod sources;
mod statistics;
mod story;
mod survival;
