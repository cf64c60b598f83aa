//! From raw tables to validated types: everything that a key and a type cannot say.

mod address;
mod backend;
mod check;
mod flow_log;
mod forwarding;
mod global;
mod life;
mod service;
mod sources;
mod stats;
mod users;
mod value;

pub use global::{DEFAULT_SOCKET, interface_name};

use super::{error::Fault, raw, types::Config};

/// Turns a whole file into a configuration.
pub(super) fn config(raw: raw::File) -> Result<Config, Fault> {
    let mut lists = sources::Lists::default();
    Ok(Config {
        global: global::global(&raw.global.0, &mut lists)?,
        stats: raw.stats.map(|stats| stats::stats(&stats.0)).transpose()?,
        flow_log: raw
            .flow_log
            .map(|flow_log| flow_log::flow_log(&flow_log.0))
            .transpose()?,
        services: service::services(raw.service, &mut lists)?,
    })
}
