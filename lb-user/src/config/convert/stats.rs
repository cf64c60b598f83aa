//! `[stats]`

use std::net::SocketAddr;

use super::{address, global, users};
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::{ServerTls, Stats, User},
};

const DEFAULT_URI: &str = "/stats";
const DEFAULT_REALM: &str = "Ballast";
/// Paths that the API answers beside the page.
const TAKEN: [&str; 2] = ["api", "metrics"];

pub(super) fn stats(raw: &raw::Stats) -> Result<Stats, Fault> {
    let users = users::users(&raw.users)?;
    Ok(Stats {
        bind: bind(&raw.bind, &users)?,
        uri: raw.uri.as_ref().map_or_else(|| Ok(DEFAULT_URI.to_owned()), uri)?,
        hide_version: raw.hide_version,
        realm: raw
            .realm
            .as_ref()
            .map_or_else(|| Ok(DEFAULT_REALM.to_owned()), realm)?,
        users,
        tls: tls(raw.certificate.as_ref(), raw.private_key.as_ref())?,
    })
}

/// Other hosts reach it by a password only, and by one that is not the first to be tried.
fn bind(text: &Text, users: &[User]) -> Result<SocketAddr, Fault> {
    let bind = address::endpoint(text)?;
    if bind.ip().is_loopback() {
        return Ok(bind);
    }
    if users.is_empty() {
        return Err(Fault::at(
            text,
            format!("{bind} can be reached from other hosts, and there are no `users`"),
            format!(
                r#"add `users`, whose hashes `ballast passwd` makes, or write "127.0.0.1:{}""#,
                bind.port()
            ),
        ));
    }
    match users.iter().find(|user| users::is_guessable(user)) {
        None => Ok(bind),
        Some(user) => Err(Fault::at(
            text,
            format!(
                "{bind} can be reached from other hosts, and the password of user {:?} is the first that is tried",
                user.name
            ),
            "give a hash of another password, made by `ballast passwd`",
        )),
    }
}

fn tls(certificate: Option<&Text>, private_key: Option<&Text>) -> Result<Option<ServerTls>, Fault> {
    match (certificate, private_key) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Ok(Some(ServerTls {
            certificate: global::path("certificate", certificate, "")?,
            private_key: global::path("private_key", private_key, "")?,
        })),
        (Some(alone), None) => Err(Fault::at(
            alone,
            "a certificate without its `private_key`",
            "add that key",
        )),
        (None, Some(alone)) => Err(Fault::at(
            alone,
            "a private key without its `certificate`",
            "add that key",
        )),
    }
}

/// A path that needs no escaping, in HTML or in a URL.
fn uri(text: &Text) -> Result<String, Fault> {
    let uri = text.get_ref();
    let plain = uri
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-~".contains(c));
    if !uri.starts_with('/') || !plain {
        return Err(Fault::at(
            text,
            format!("{uri:?} is not a path for the page"),
            "write one that begins with / and has only A-Z a-z 0-9 / . _ - ~",
        ));
    }
    match uri.split('/').nth(1) {
        Some(first) if TAKEN.contains(&first) => Err(Fault::at(
            text,
            format!("/{first} belongs to the API"),
            format!("write {DEFAULT_URI:?}"),
        )),
        _ => Ok(uri.clone()),
    }
}

/// What fits between the quotes of a `WWW-Authenticate` header (RFC 9110 5.6.4) without escaping.
fn realm(text: &Text) -> Result<String, Fault> {
    let realm = text.get_ref();
    let printable = realm
        .chars()
        .all(|c| (c == ' ' || c.is_ascii_graphic()) && c != '"' && c != '\\');
    if printable && !realm.is_empty() {
        return Ok(realm.clone());
    }
    Err(Fault::at(
        text,
        format!("{realm:?} is not a realm"),
        r#"write printable ASCII without " and \"#,
    ))
}
