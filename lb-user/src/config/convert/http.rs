//! The request of an HTTP check: text that goes onto the wire, so that nothing in it may break the line it is in.

use toml::Spanned;

use super::value;
use crate::config::{
    error::Fault,
    raw::{self, StatusRange, Text},
    types::HttpCheck,
};

const DEFAULT_METHOD: &str = "GET";
const DEFAULT_TARGET: &str = "/";
const DEFAULT_STATUS: (u16, u16) = (200, 399);
/// Headers that would contradict the request that is sent: no body, one request per connection.
const OURS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

/// The request, from the keys that only an HTTP check has.
pub(super) fn http(raw: &raw::Check) -> Result<HttpCheck, Fault> {
    let headers = raw.headers.as_ref().map_or(&[][..], |headers| headers.get_ref());
    Ok(HttpCheck {
        method: raw
            .method
            .as_ref()
            .map_or_else(|| Ok(DEFAULT_METHOD.to_owned()), method)?,
        target: raw
            .target
            .as_ref()
            .map_or_else(|| Ok(DEFAULT_TARGET.to_owned()), target)?,
        headers: headers.iter().map(header).collect::<Result<_, _>>()?,
        status: raw.status.as_ref().map_or(Ok(DEFAULT_STATUS), status)?,
    })
}

/// Refuses a request where nothing would send it.
pub(super) fn refuse_keys(raw: &raw::Check, kind: &str) -> Result<(), Fault> {
    let written = [
        ("method", value::place(raw.method.as_ref())),
        ("target", value::place(raw.target.as_ref())),
        ("headers", value::place(raw.headers.as_ref())),
        ("status", value::place(raw.status.as_ref())),
    ];
    match value::first_written(written) {
        None => Ok(()),
        Some((key, span)) => Err(Fault::within(
            span,
            format!("`{key}` means nothing to a check of type \"{kind}\""),
            r#"remove it or set type to "http""#,
        )),
    }
}

fn method(text: &Text) -> Result<String, Fault> {
    let method = text.get_ref();
    if is_token(method) {
        return Ok(method.clone());
    }
    Err(Fault::at(
        text,
        format!("{method:?} is not an HTTP method"),
        r#"write one such as "GET" or "HEAD""#,
    ))
}

fn target(text: &Text) -> Result<String, Fault> {
    let target = text.get_ref();
    if target.starts_with('/') && target.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(target.clone());
    }
    Err(Fault::at(
        text,
        format!("{target:?} is not an HTTP request target"),
        r#"write a path such as "/health?full=1", with other characters %-encoded"#,
    ))
}

fn header(text: &Text) -> Result<(String, String), Fault> {
    let line = text.get_ref();
    let Some((name, value)) = line.split_once(':').map(|(name, value)| (name, value.trim())) else {
        return Err(Fault::at(
            text,
            format!("{line:?} is not a header"),
            r#"write it as "Name: value""#,
        ));
    };
    if !is_token(name)
        || !value
            .chars()
            .all(|c| c == ' ' || c == '\t' || c.is_ascii_graphic())
    {
        return Err(Fault::at(
            text,
            format!("{line:?} is not a header"),
            r#"write it as "Name: value" in printable ASCII"#,
        ));
    }
    if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Err(Fault::at(
            text,
            format!("the header {name} is set by the check itself"),
            "remove it",
        ));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn status(range: &Spanned<StatusRange>) -> Result<(u16, u16), Fault> {
    let StatusRange(low, high) = *range.get_ref();
    if low > high {
        return Err(Fault::at(
            range,
            format!("the status range {low}-{high} runs backwards"),
            format!("write \"{high}-{low}\""),
        ));
    }
    if low < 100 || high > 599 {
        return Err(Fault::at(
            range,
            format!("status {low}-{high} is out of range"),
            "write statuses from 100 to 599",
        ));
    }
    Ok((low, high))
}

/// A token of RFC 9110 5.6.2: the form of methods and header names.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
