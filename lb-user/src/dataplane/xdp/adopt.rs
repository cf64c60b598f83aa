//! Whether the tables that are pinned are such that this program can go on with them.

use std::{fmt::Display, fs, io::ErrorKind, os::fd::AsFd as _};

use aya::maps::{MapData, MapInfo};
use lb_common::{
    layout::{self, Settings},
    shared::Shared,
};
use tracing::warn;

use super::{
    Mode,
    pins::{AdoptError, Pins},
    tables,
};
use crate::dataplane::{Capacity, mapped::Mapped};

/// Unpins the tables of the flow log where they are not of the size that is needed: the programs in force go on with them
/// until they are replaced.
pub(super) fn renew_flow_log(pins: &Pins, needed: &Capacity) {
    let of_flow_log = |(name, _): &(&str, u32)| tables::OF_FLOW_LOG.contains(name);
    for (name, wanted) in tables::sizes(needed).into_iter().filter(of_flow_log) {
        let path = pins.table(name);
        let fits = MapInfo::from_pin(&path).is_ok_and(|info| info.max_entries() == wanted);
        if !fits
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            warn!(path = %path.display(), %error, "cannot remove");
        }
    }
}

/// Refuses tables of another layout, in force in another mode than is `wanted`, or without room for `needed`.
///
/// Room for flows must be what is asked for, no more either: who changes `max_flows` wants it to have an effect.
pub(super) fn check(pins: &Pins, needed: &Capacity, wanted: Option<Mode>) -> Result<(), AdoptError> {
    check_settings(pins, wanted)?;
    for (name, wanted) in tables::sizes(needed) {
        if tables::OF_FLOW_LOG.contains(&name) {
            continue;
        }
        let rows = MapInfo::from_pin(pins.table(name))
            .map_err(|error| pins.refuse(format!("its table {name} cannot be had ({error})")))?
            .max_entries();
        let family = match name {
            "FLOWS_V4" => "IPv4",
            "FLOWS_V6" => "IPv6",
            _ if rows >= wanted => continue,
            _ => {
                let reason = format!("its table {name} has {rows} rows and the configuration needs {wanted}");
                return Err(pins.refuse(reason));
            }
        };
        let (has, asked) = (Capacity::flows(rows), Capacity::flows(wanted));
        if has != asked {
            return Err(pins.refuse(format!(
                "it has room for {has} {family} flows and the configuration's `max_flows` makes {asked} of it"
            )));
        }
    }
    Ok(())
}

fn check_settings(pins: &Pins, wanted: Option<Mode>) -> Result<(), AdoptError> {
    let refused = |error: &dyn Display| pins.refuse(format!("its settings cannot be read ({error})"));
    let map = MapData::from_pin(pins.table("SETTINGS")).map_err(|error| refused(&error))?;
    // Alone: what follows may be shorter in other layouts.
    let version = Mapped::<Shared<u32>>::new(map.fd().as_fd(), 1).map_err(|error| refused(&error))?;
    let (has, needed) = (version.rows()[0].load(), layout::VERSION);
    if has != needed {
        let reason = format!("its tables have layout {has} and this program needs {needed}");
        return Err(pins.refuse(reason));
    }
    let settings = Mapped::<Settings>::new(map.fd().as_fd(), 1).map_err(|error| refused(&error))?;
    let settings = &settings.rows()[0];
    let mode = Mode::in_force(settings);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != mode) {
        let (has, wanted) = (mode.as_str(), wanted.as_str());
        return Err(pins.refuse(format!("it runs as {has} and the configuration wants {wanted}")));
    }
    Ok(())
}
