//! What the packet path cannot do yet. The configuration knows it already and is strict about it; whoever writes it
//! is told, rather than left to believe that it works. Each list is shortened by who builds what is on it.

use std::ops::Range;

use super::value;
use crate::config::{
    error::Fault,
    raw::{self, Table},
};

/// Refuses the first key that nothing would heed.
pub(in crate::config) fn refuse(file: &raw::File) -> Result<(), Fault> {
    keys(global(&file.global.0))?;
    for service in &file.service {
        let Table(service) = service.get_ref();
        keys(of_service(service))?;
    }
    Ok(())
}

type Key = (&'static str, Option<Range<usize>>);

fn global(raw: &raw::Global) -> [Key; 2] {
    [
        ("allow", value::place(raw.allow.as_ref())),
        ("deny", value::place(raw.deny.as_ref())),
    ]
}

fn of_service(raw: &raw::Service) -> [Key; 3] {
    [
        ("allow", value::place(raw.allow.as_ref())),
        ("deny", value::place(raw.deny.as_ref())),
        ("limits", value::place(raw.limits.as_ref())),
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
