//! Who changed what, and when: one line of JSON each, in the order in which it happened. Turning the file over is the
//! system's business (logrotate); it is opened anew for each line.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use utoipa::ToSchema;

use super::files;

/// Something that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// When, by RFC 3339, in UTC.
    pub at: String,
    /// Who: a user of the host over the control socket, a user of the stats page, or a signal.
    pub who: String,
    /// What, in words.
    pub what: String,
}

/// The journal of a `state_dir`.
#[derive(Debug, Clone)]
pub struct Journal(PathBuf);

impl Journal {
    /// The one in this directory.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("journal.jsonl"))
    }

    /// Adds an entry of now, and logs it.
    pub fn note(&self, who: &str, what: &str) {
        info!(who, "{what}");
        let entry = Entry {
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            who: who.to_owned(),
            what: what.to_owned(),
        };
        if let Err(error) = self.write(&entry) {
            warn!(path = %self.0.display(), %error, "the journal cannot be written");
        }
    }

    /// The last so many entries, the latest last.
    pub fn last(&self, count: usize) -> io::Result<Vec<Entry>> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome?,
        };
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(count));
        // A line that a crash cut short says nothing.
        Ok(last.filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        if let Some(directory) = self.0.parent() {
            files::make_directory(directory)?;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options
            .create(true)
            .append(true)
            .mode(0o640)
            .open(&self.0)?
            .write_all(&line)
    }
}
