//! Ballast's daemon and command line, as a library so that the tests can drive its parts.
//!
//! The way of a configuration: [`config`] parses it, [`control`] turns it, with the verdicts of [`health`] and
//! the addresses of [`next_hop`], into the desired state, and writes the difference to a [`dataplane`].
//! [`daemon`] runs that loop and answers [`api`] and [`cli`]. [`runtime`] keeps what was changed since the file was loaded.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod flows;
pub mod health;
pub mod next_hop;
pub mod runtime;
pub mod stats;
pub mod trace;
