//! The request of an HTTP check: text that goes onto the wire, so that nothing in it may break the line it is in.

use std::ops::RangeInclusive;

use tokio_rustls::rustls::pki_types::ServerName;
use toml::Spanned;

use super::{
    super::{global, value},
    credentials, exchange,
};
use crate::config::{
    error::Fault,
    raw::{self, Statuses, Text},
    types::{HttpCheck, HttpVersion, Login, Tls},
};

const DEFAULT_METHOD: &str = "GET";
const DEFAULT_TARGET: &str = "/";
const DEFAULT_STATUS: RangeInclusive<u16> = 200..=399;
/// Headers that would contradict the request that is sent: no body, one request per connection.
const OURS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

/// The check, from the keys that only an HTTP check has.
pub(super) fn http(raw: &raw::Check, tls: Option<Tls>) -> Result<HttpCheck, Fault> {
    let Request {
        method,
        target,
        version,
        headers,
    } = match &raw.request {
        Some(text) => request(text, raw)?,
        None => Request::of_keys(raw)?,
    };
    Ok(HttpCheck {
        login: login(raw, &headers)?,
        method,
        target,
        version,
        headers,
        status: raw.status.as_ref().map_or(Ok(vec![DEFAULT_STATUS]), statuses)?,
        body: exchange::bytes(raw.body.as_ref()),
        tls,
    })
}

/// What is asked of the server's certificate.
pub(super) fn tls(raw: &raw::Check) -> Result<Tls, Fault> {
    let verify = value::flag_or(true, raw.verify.as_ref());
    if let (false, Some(file)) = (verify, &raw.ca_file) {
        return Err(Fault::at(
            file,
            "`ca_file` means nothing where certificates are not verified",
            "remove it, or `verify`",
        ));
    }
    let name = |text: &Text| match ServerName::try_from(text.get_ref().clone()) {
        Ok(_) => Ok(text.get_ref().clone()),
        Err(_) => Err(Fault::at(
            text,
            format!("{:?} is not a name that a certificate can be for", text.get_ref()),
            "write a host's name, or an address",
        )),
    };
    Ok(Tls {
        verify,
        ca_file: raw
            .ca_file
            .as_ref()
            .map(|file| global::absolute("ca_file", file))
            .transpose()?,
        server_name: raw.server_name.as_ref().map(name).transpose()?,
    })
}

struct Request {
    method: String,
    target: String,
    version: HttpVersion,
    headers: Vec<(String, String)>,
}

impl Request {
    fn of_keys(raw: &raw::Check) -> Result<Self, Fault> {
        let headers = raw.headers.as_ref().map_or(&[][..], |headers| headers.get_ref());
        let of_line = |text: &Text| header(text, text.get_ref());
        let method = match &raw.method {
            Some(text) => method(text, text.get_ref())?,
            None => DEFAULT_METHOD.to_owned(),
        };
        Ok(Self {
            target: match &raw.target {
                Some(text) => target(text, text.get_ref(), &method)?,
                None => DEFAULT_TARGET.to_owned(),
            },
            method,
            version: value::word_or(
                HttpVersion::V1_1,
                "version",
                raw.version.as_ref(),
                HttpVersion::ALL,
                HttpVersion::as_str,
            )?,
            headers: headers.iter().map(of_line).collect::<Result<_, _>>()?,
        })
    }
}

/// A whole request as `haproxy.cfg` has it behind `option httpchk`: `OPTIONS * HTTP/1.1\r\nHost:\ www`, either with real
/// line ends and spaces, or with the backslashes that stand for them there.
fn request(text: &Text, raw: &raw::Check) -> Result<Request, Fault> {
    let parts = [
        ("method", value::place(raw.method.as_ref())),
        ("target", value::place(raw.target.as_ref())),
        ("version", value::place(raw.version.as_ref())),
        ("headers", value::place(raw.headers.as_ref())),
    ];
    if let Some((key, span)) = value::first_written(parts) {
        return Err(Fault::within(
            span,
            format!("`{key}` is in `request` already"),
            "remove one of the two",
        ));
    }
    let plain = text
        .get_ref()
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\ ", " ");
    let mut lines = plain
        .trim_end()
        .split('\n')
        .map(|line| line.trim_end_matches('\r'));
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let (asked, at, version) = match words[..] {
        [asked, at, "HTTP/1.0"] => (asked, at, HttpVersion::V1_0),
        [asked, at, "HTTP/1.1"] => (asked, at, HttpVersion::V1_1),
        _ => {
            return Err(Fault::at(
                text,
                format!("{:?} does not begin with a request line", text.get_ref()),
                r#"write it as "GET /health HTTP/1.1", and headers in further lines"#,
            ));
        }
    };
    Ok(Request {
        method: method(text, asked)?,
        target: target(text, at, asked)?,
        version,
        headers: lines.map(|line| header(text, line)).collect::<Result<_, _>>()?,
    })
}

/// Who asks, unless a header says so already.
fn login(raw: &raw::Check, headers: &[(String, String)]) -> Result<Option<Login>, Fault> {
    let login = credentials::login(raw)?;
    let named = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match &raw.user {
        Some(user) if named => Err(Fault::at(
            user,
            "`user` and the header Authorization both say who asks",
            "remove one of the two",
        )),
        _ => Ok(login),
    }
}

fn method(text: &Text, method: &str) -> Result<String, Fault> {
    if is_token(method) {
        return Ok(method.to_owned());
    }
    Err(Fault::at(
        text,
        format!("{method:?} is not an HTTP method"),
        r#"write one such as "GET" or "HEAD""#,
    ))
}

/// A path, or with OPTIONS the server as a whole (RFC 9112 3.2.4).
fn target(text: &Text, target: &str, method: &str) -> Result<String, Fault> {
    let is_path = target.starts_with('/') && target.chars().all(|c| c.is_ascii_graphic());
    if is_path || (target == "*" && method == "OPTIONS") {
        return Ok(target.to_owned());
    }
    Err(Fault::at(
        text,
        format!("{target:?} is not an HTTP request target"),
        r#"write a path such as "/health?full=1", with other characters %-encoded"#,
    ))
}

fn header(text: &Text, line: &str) -> Result<(String, String), Fault> {
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

fn statuses(written: &Spanned<Statuses>) -> Result<Vec<RangeInclusive<u16>>, Fault> {
    let Statuses(ranges) = written.get_ref();
    if ranges.is_empty() {
        return Err(Fault::at(
            written,
            "no status would count as success",
            "write one such as 200, or remove it",
        ));
    }
    ranges.iter().map(|range| status(written, *range)).collect()
}

fn status(range: &Spanned<Statuses>, (low, high): (u16, u16)) -> Result<RangeInclusive<u16>, Fault> {
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
    Ok(low..=high)
}

/// A token of RFC 9110 5.6.2: the form of methods and header names.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
