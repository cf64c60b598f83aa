//! What the packet path cannot do yet. The configuration knows it already and is strict about it; whoever writes it
//! is told, rather than left to believe that it works. Each list is shortened by who builds what is on it.

use std::ops::Range;

use super::value;
use crate::config::{
    error::Fault,
    raw::{self, Table, Text},
};

const MODES: &[&str] = &["tunnel"];
const SCHEDULERS: &[&str] = &["source", "round-robin", "least-conn"];

/// Refuses the first word or key that nothing would heed.
pub(in crate::config) fn refuse(file: &raw::File) -> Result<(), Fault> {
    keys(global(&file.global.0))?;
    for service in &file.service {
        let Table(service) = service.get_ref();
        word("mode", service.mode.as_ref(), MODES, "full-nat")?;
        word("scheduler", service.scheduler.as_ref(), SCHEDULERS, "maglev")?;
        keys(of_service(service))?;
        for backend in &service.backend {
            keys(of_backend(&backend.get_ref().0))?;
        }
    }
    Ok(())
}

type Key = (&'static str, Option<Range<usize>>);

fn global(raw: &raw::Global) -> [Key; 3] {
    [
        ("icmp_echo", value::place(raw.icmp_echo.as_ref())),
        ("allow", value::place(raw.allow.as_ref())),
        ("deny", value::place(raw.deny.as_ref())),
    ]
}

fn of_service(raw: &raw::Service) -> [Key; 10] {
    [
        ("connect_timeout", value::place(raw.connect_timeout.as_ref())),
        ("close_timeout", value::place(raw.close_timeout.as_ref())),
        ("drain_timeout", value::place(raw.drain_timeout.as_ref())),
        ("maxconn", value::place(raw.maxconn.as_ref())),
        ("on_down", value::place(raw.on_down.as_ref())),
        ("retries", value::place(raw.retries.as_ref())),
        ("hide_refused", value::place(raw.hide_refused.as_ref())),
        ("allow", value::place(raw.allow.as_ref())),
        ("deny", value::place(raw.deny.as_ref())),
        ("limits", value::place(raw.limits.as_ref())),
    ]
}

fn of_backend(raw: &raw::Backend) -> [Key; 2] {
    [
        ("maxconn", value::place(raw.maxconn.as_ref())),
        ("backup", value::place(raw.backup.as_ref())),
    ]
}

fn keys(unbuilt: impl IntoIterator<Item = Key>) -> Result<(), Fault> {
    match value::first_written(unbuilt) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` is not available yet"),
            "remove it",
        )),
    }
}

fn word(key: &str, written: Option<&Text>, unbuilt: &[&str], built: &str) -> Result<(), Fault> {
    match written {
        Some(text) if unbuilt.contains(&text.get_ref().as_str()) => Err(Fault::at(
            text,
            format!("{key} {:?} is not available yet", text.get_ref()),
            format!("write {built:?}"),
        )),
        _ => Ok(()),
    }
}
