//! Checks that know a database.

use std::num::NonZeroU16;

use super::{super::value, credentials};
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::{MysqlCheck, MysqlConditions, MysqlRole, StarrocksCheck, StarrocksRole},
};

const DEFAULT_HTTP_PORT: NonZeroU16 = NonZeroU16::new(8030).unwrap();

pub(super) fn mysql(raw: &raw::Check) -> Result<MysqlCheck, Fault> {
    let login = credentials::login(raw)?;
    let conditions = MysqlConditions {
        role: role(raw.require.as_ref(), MysqlRole::ALL, MysqlRole::as_str)?,
        read_only: raw.read_only.as_ref().map(|flag| *flag.get_ref()),
        replication: value::flag_or(false, raw.replication.as_ref()),
        max_lag: value::duration("max_lag", raw.max_lag.as_ref())?,
    };
    let written = [
        ("require", value::place(raw.require.as_ref())),
        ("read_only", value::place(raw.read_only.as_ref())),
        ("replication", value::place(raw.replication.as_ref())),
        ("max_lag", value::place(raw.max_lag.as_ref())),
    ];
    if let (None, Some((key, span))) = (&login, value::first_written(written)) {
        return Err(Fault::within(
            span,
            format!("`{key}` cannot be looked up without a login"),
            "add `user`, and `password_file` or `password_env`",
        ));
    }
    refuse_contradiction(raw, &conditions)?;
    Ok(MysqlCheck { login, conditions })
}

/// Refuses conditions beside a role that implies or excludes them.
fn refuse_contradiction(raw: &raw::Check, conditions: &MysqlConditions) -> Result<(), Fault> {
    let Some(role) = conditions.role else {
        return Ok(());
    };
    let read_only = ("read_only", value::place(raw.read_only.as_ref()));
    let replication = ("replication", value::place(raw.replication.as_ref()));
    let lag = (
        "max_lag",
        value::place(raw.max_lag.as_ref()).filter(|_| role == MysqlRole::Writer),
    );
    match value::first_written([read_only, replication, lag]) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` has nothing to add to require = \"{}\"", role.as_str()),
            "remove one of the two",
        )),
    }
}

pub(super) fn starrocks(raw: &raw::Check) -> Result<StarrocksCheck, Fault> {
    let login = credentials::login(raw)?;
    let written = [
        ("require", value::place(raw.require.as_ref())),
        ("node", value::place(raw.node.as_ref())),
    ];
    if let (None, Some((key, span))) = (&login, value::first_written(written)) {
        return Err(Fault::within(
            span,
            format!("`{key}` cannot be looked up without a login"),
            "add `user`, and `password_file` or `password_env`",
        ));
    }
    let http_port = match &raw.http_port {
        Some(port) => NonZeroU16::new(value::number("http_port", port, 1..=u16::MAX)?),
        None => None,
    };
    Ok(StarrocksCheck {
        login,
        role: role(raw.require.as_ref(), StarrocksRole::ALL, StarrocksRole::as_str)?,
        http_port: http_port.unwrap_or(DEFAULT_HTTP_PORT),
        node: raw.node.as_ref().map(|node| node.get_ref().clone()),
    })
}

fn role<T: Copy>(
    written: Option<&Text>,
    roles: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Fault> {
    let Some(first) = roles.first() else {
        return Ok(None);
    };
    match written {
        None => Ok(None),
        Some(text) => value::word_or(*first, "role", Some(text), roles, as_str).map(Some),
    }
}
