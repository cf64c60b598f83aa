//! Backends that have the health of others.

use std::ops::Range;

use super::super::value;
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::{Health, Name, Service},
};

/// What is tracked, and where that is written; whether it is there is known when all services are.
#[derive(Default)]
pub(in crate::config::convert) struct Tracks(Vec<(Range<usize>, Name, Name)>);

impl Tracks {
    /// The health of what a backend with this name tracks: `SERVICE/BACKEND`, or of `SERVICE` the backend with the same
    /// name.
    pub(super) fn follow(&mut self, text: &Text, backend: &Name) -> Result<Health, Fault> {
        let name = |part: &str| value::name_at(text, part);
        let (service, backend) = match text.get_ref().split_once('/') {
            Some((service, backend)) => (name(service)?, name(backend)?),
            None => (name(text.get_ref())?, backend.clone()),
        };
        self.0.push((text.span(), service.clone(), backend.clone()));
        Ok(Health::Tracked { service, backend })
    }

    /// Refuses to track what is not there, or is not checked itself.
    pub(in crate::config::convert) fn refuse_dangling(&self, services: &[Service]) -> Result<(), Fault> {
        for (span, service, backend) in &self.0 {
            let found = services
                .iter()
                .filter(|candidate| candidate.name == *service)
                .flat_map(|found| &found.backends)
                .find(|candidate| candidate.name == *backend);
            let (problem, advice) = match found.map(|found| &found.health) {
                Some(Health::Checked(_)) => continue,
                Some(Health::Tracked { .. }) => (
                    format!("backend \"{service}/{backend}\" tracks another one itself"),
                    "track that one",
                ),
                None => (
                    format!("there is no backend \"{service}/{backend}\" to track"),
                    "write SERVICE/BACKEND, or a service that has backends of the same names",
                ),
            };
            return Err(Fault::within(span.clone(), problem, advice));
        }
        Ok(())
    }
}

/// Refuses keys of a check where none is made.
pub(super) fn refuse_other_keys(raw: &raw::Check) -> Result<(), Fault> {
    let written = [
        ("type", value::place(raw.kind.as_ref())),
        ("inter", value::place(raw.inter.as_ref())),
        ("fastinter", value::place(raw.fastinter.as_ref())),
        ("downinter", value::place(raw.downinter.as_ref())),
        ("rise", value::place(raw.rise.as_ref())),
        ("fall", value::place(raw.fall.as_ref())),
        ("timeout", value::place(raw.timeout.as_ref())),
        ("port", value::place(raw.port.as_ref())),
        ("vip", value::place(raw.vip.as_ref())),
        ("observe", value::place(raw.observe.as_ref())),
    ];
    match value::first_written(written) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` means nothing to a backend that tracks another one"),
            "remove one of the two",
        )),
    }
}
