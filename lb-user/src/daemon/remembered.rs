//! What backends were when the daemon last ran, so that a restart does not make it believe a single check.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::task;
use tracing::warn;

use crate::{
    control::{Control, unix_milliseconds},
    health::State,
};

/// What is older says nothing about today's backends.
const MOST_AGE: Duration = Duration::from_mins(10);

/// The file in the state directory, and what it holds.
pub(super) struct Remembered {
    file: PathBuf,
    /// Transitions that there had been when it was last written.
    written: u64,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Content {
    /// When it was written, in milliseconds since the Unix epoch.
    at: u64,
    /// By `SERVICE/BACKEND ADDRESS`.
    backends: BTreeMap<String, State>,
}

impl Remembered {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            file: state_dir.join("health.json"),
            written: 0,
        }
    }

    /// What is remembered, if it is not too long ago. A file that cannot be read is as good as none.
    pub(super) fn read(&self) -> BTreeMap<String, State> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
            Err(error) => {
                warn!(file = %self.file.display(), %error, "cannot read what backends were last");
                return BTreeMap::new();
            }
        };
        match serde_json::from_str::<Content>(&text) {
            Ok(Content { at, backends }) if is_recent(at) => backends,
            Ok(_) => BTreeMap::new(),
            Err(error) => {
                warn!(file = %self.file.display(), %error, "cannot understand what backends were last");
                BTreeMap::new()
            }
        }
    }

    /// Writes what is known now, beside the loop, if it has changed or the file grows old.
    pub(super) fn write(&mut self, control: &Control) {
        let Some((text, file)) = self.due(control) else {
            return;
        };
        task::spawn_blocking(move || write(&file, &text));
    }

    /// The same, when there is no later.
    pub(super) fn write_now(&mut self, control: &Control) {
        self.written = u64::MAX;
        if let Some((text, file)) = self.due(control) {
            write(&file, &text);
        }
    }

    fn due(&mut self, control: &Control) -> Option<(String, PathBuf)> {
        let transitions = control.transitions();
        if transitions == self.written {
            return None;
        }
        self.written = transitions;
        let content = Content {
            at: unix_milliseconds(),
            backends: control.states(),
        };
        let text = serde_json::to_string(&content).ok()?;
        Some((text, self.file.clone()))
    }
}

fn is_recent(at: u64) -> bool {
    let age = unix_milliseconds().checked_sub(at);
    age.is_some_and(|age| Duration::from_millis(age) <= MOST_AGE)
}

fn write(file: &Path, text: &str) {
    if let Err(error) = replace(file, text) {
        warn!(file = %file.display(), %error, "cannot remember what backends are: a restart will ask them anew");
    }
}

/// Never half a file.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = file.with_extension("json.new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(age: Duration) -> String {
        let age = u64::try_from(age.as_millis()).unwrap();
        let content = Content {
            at: unix_milliseconds() - age,
            backends: [("a/b 10.0.0.1:1".to_owned(), State::Down)].into(),
        };
        serde_json::to_string(&content).unwrap()
    }

    #[test]
    fn what_was_written_is_remembered_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let remembered = Remembered::new(&directory.path().join("state"));
        assert!(remembered.read().is_empty());
        replace(&remembered.file, &content(Duration::ZERO)).unwrap();
        assert_eq!(
            remembered.read(),
            [("a/b 10.0.0.1:1".to_owned(), State::Down)].into()
        );
        replace(&remembered.file, &content(MOST_AGE * 2)).unwrap();
        assert!(remembered.read().is_empty(), "too long ago");
        replace(&remembered.file, "{ \"at\": 1").unwrap();
        assert!(remembered.read().is_empty(), "half a file");
    }
}
