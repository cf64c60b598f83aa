//! Passwords: read when they are needed, and shown to nobody.

use std::{env, io, path::Path};

use tokio::{fs::File, io::AsyncReadExt as _};

use super::probe::Failure;
use crate::config::types::Secret;

/// No password is longer; a log file that is named by mistake may be.
const LONGEST: u64 = 4096;

/// The secret's text; empty where there is none. That it cannot be had is this host's own affair, and is said without
/// a word of what was found.
pub(super) async fn of(secret: Option<&Secret>) -> Result<String, Failure> {
    match secret {
        None => Ok(String::new()),
        Some(Secret::File(path)) => in_file(path)
            .await
            .map_err(|error| missing(format!("cannot read the password in {}: {error}", path.display()))),
        Some(Secret::Environment(name)) => env::var(name)
            .map_err(|_| missing(format!("there is no password in the environment variable {name}"))),
    }
}

/// The first line of a file.
async fn in_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)
        .await?
        .take(LONGEST)
        .read_to_string(&mut text)
        .await?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn missing(what: String) -> Failure {
    Failure::Host(io::Error::other(what))
}
