//! What clients' own connections tell.

use std::num::NonZeroU32;

use super::{super::value, Surroundings, kind::Kind};
use crate::config::{
    error::Fault,
    raw,
    types::{Observe, OnError, Protocol},
};

/// As in `haproxy.cfg`.
const DEFAULT_ERROR_LIMIT: u32 = 10;
const MOST_ERRORS: u32 = 1_000_000;

/// What can be observed of `haproxy.cfg`'s words: connections, and not what is said over them.
const LAYER: &str = "layer4";

pub(super) fn observe(
    raw: &raw::Check,
    kind: Kind,
    surroundings: Surroundings,
) -> Result<Option<Observe>, Fault> {
    let Some(written) = &raw.observe else {
        return refuse_alone(raw).map(|()| None);
    };
    value::word_or(LAYER, "layer", Some(written), &[LAYER], |word| word)?;
    if surroundings.protocol == Protocol::Udp || !surroundings.mode.sees_answers() {
        return Err(Fault::at(
            written,
            "`observe` needs answers to connections that pass the balancer",
            "remove it, or set protocol to \"tcp\" and mode to \"full-nat\" or \"nat\"",
        ));
    }
    if kind == Kind::None {
        return Err(Fault::at(
            written,
            "`observe` takes backends down, and without a check nothing brings them up again",
            "remove it, or set another type",
        ));
    }
    let most = value::number_or(
        DEFAULT_ERROR_LIMIT,
        "error_limit",
        raw.error_limit.as_ref(),
        1..=MOST_ERRORS,
    )?;
    let on_error = value::word_or(
        OnError::FailCheck,
        "on_error",
        raw.on_error.as_ref(),
        OnError::ALL,
        OnError::as_str,
    )?;
    Ok(NonZeroU32::new(most).map(|error_limit| Observe {
        error_limit,
        on_error,
    }))
}

fn refuse_alone(raw: &raw::Check) -> Result<(), Fault> {
    let written = [
        ("error_limit", value::place(raw.error_limit.as_ref())),
        ("on_error", value::place(raw.on_error.as_ref())),
    ];
    match value::first_written(written) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` means nothing without `observe`"),
            "add observe = \"layer4\", or remove it",
        )),
    }
}
