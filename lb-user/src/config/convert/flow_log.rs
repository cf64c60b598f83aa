//! `[flow_log]`

use super::{global, value};
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::{Destination, FlowLog},
};

/// The word for [`Destination::Stdout`].
const STDOUT: &str = "stdout";

pub(super) fn flow_log(raw: &raw::FlowLog) -> Result<FlowLog, Fault> {
    Ok(FlowLog {
        to: destination(&raw.to)?,
        dontlognull: value::flag_or(false, raw.dontlognull.as_ref()),
    })
}

fn destination(text: &Text) -> Result<Destination, Fault> {
    if text.get_ref() == STDOUT {
        return Ok(Destination::Stdout);
    }
    global::absolute("to", text).map(Destination::File).map_err(|_| {
        Fault::at(
            text,
            format!("{:?} is no place for a log", text.get_ref()),
            format!("write {STDOUT:?} or a path that begins with /"),
        )
    })
}
