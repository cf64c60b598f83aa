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
mod cookies;
mod damaged;
mod ends;
mod failover;
mod fall_back;
mod health;
mod lifecycle;
mod local;
mod matrix;
mod one_armed;
mod operator;
mod page;
mod prometheus;
mod quiet;
mod reload;
mod removal;
mod servers;
mod sizes;
mod sources;
mod statistics;
mod story;
mod survival;
