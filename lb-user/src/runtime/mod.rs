//! Runtime and disk: what runs is the configuration file with the changes that were made since, replayed over its text.
//!
//! There is one door for both. A change is an edit of the file's text (`change`), and what comes of it is parsed like any
//! file, so that nothing can run that could not be written down. Changes are kept one by one and not as a text of their
//! own: a reload replays them over the new file, which is so never ignored, and a restart does the same.

mod change;
mod edit;
mod files;
mod journal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use similar::TextDiff;
use tracing::warn;

pub use self::{
    change::{Admin, Change, ChangeError},
    journal::{Entry, Journal},
};
use crate::config::{self, Config, ConfigError, types::DataplaneChoice};

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Said on the command line instead.
    pub dataplane: Option<DataplaneChoice>,
    /// Said on the command line instead; empty: not.
    pub interfaces: Vec<String>,
}

impl Source {
    /// The configuration of a text, with what the command line says instead.
    pub fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        let mut config = config::parse(text, &self.file)?;
        if let Some(dataplane) = self.dataplane {
            config.global.dataplane = dataplane;
        }
        if !self.interfaces.is_empty() {
            config.global.interfaces.clone_from(&self.interfaces);
        }
        Ok(config)
    }

    /// The configuration of the file alone.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.parse(&self.read()?)
    }

    /// The file's text.
    fn read(&self) -> Result<String, ConfigError> {
        config::read(&self.file)
    }
}

/// The file as it was last loaded, and the changes since.
#[derive(Debug, Clone)]
pub struct Runtime {
    source: Source,
    loaded: String,
    changes: Vec<Change>,
}

/// Something cannot be done to what runs.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A change cannot be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// What would come of a change is no configuration.
    #[error("{0}")]
    Invalid(String),
    /// Saving would undo what somebody has written.
    #[error("{} has changed since it was loaded: `ballast reload` takes it in, then save again", .0.display())]
    ChangedOnDisk(PathBuf),
    /// The file cannot be written.
    #[error("cannot write {}: {reason}", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why, in the system's words.
        reason: std::io::Error,
    },
}

impl Runtime {
    /// Loads the file, and replays what an earlier daemon has kept in its `state_dir`. What cannot be replayed any more is
    /// left out and logged: a daemon must start.
    pub fn start(source: Source) -> Result<(Self, Config), RuntimeError> {
        let loaded = source.read()?;
        let on_disk = source.parse(&loaded)?;
        let changes = files::kept(&on_disk.global.state_dir);
        let disk = Self {
            source,
            loaded,
            changes: Vec::new(),
        };
        let (runtime, left_out) = disk.with(changes);
        for change in left_out {
            warn!(%change, "a change of an earlier daemon does not fit the file any more and is left out");
        }
        match runtime.config() {
            Ok(config) => Ok((runtime, config)),
            Err(error) => {
                warn!(%error, "the changes of an earlier daemon do not fit the file any more and are left out");
                Ok((disk, on_disk))
            }
        }
    }

    /// What should run.
    pub fn config(&self) -> Result<Config, RuntimeError> {
        self.source.parse(&self.text()?).map_err(|error| match error {
            // Its place is one in a text that nobody has seen.
            ConfigError::Invalid { problem, advice, .. } if !self.changes.is_empty() => {
                RuntimeError::Invalid(format!("{problem}; {advice}"))
            }
            error => error.into(),
        })
    }

    /// With one more change.
    #[must_use]
    pub fn changed(&self, change: Change) -> Self {
        let mut changes = self.changes.clone();
        changes.retain(|earlier| !change.replaces(earlier));
        changes.push(change);
        Self {
            changes,
            ..self.clone()
        }
    }

    /// With the file as it is now, and the changes that still fit it; and those that do not.
    pub fn reloaded(&self) -> Result<(Self, Vec<Change>), RuntimeError> {
        let loaded = self.source.read()?;
        // The file must be right by itself, lest a change hides what is wrong with it.
        self.source.parse(&loaded)?;
        let disk = Self {
            source: self.source.clone(),
            loaded,
            changes: Vec::new(),
        };
        Ok(disk.with(self.changes.clone()))
    }

    /// Without any change.
    #[must_use]
    pub fn rolled_back(&self) -> Self {
        Self {
            changes: Vec::new(),
            ..self.clone()
        }
    }

    /// Writes what runs to the file, comments and order kept.
    pub fn save(&mut self) -> Result<(), RuntimeError> {
        let file = &self.source.file;
        if self.source.read()? != self.loaded {
            return Err(RuntimeError::ChangedOnDisk(file.clone()));
        }
        let text = self.text()?;
        files::replace(file, &text).map_err(|reason| RuntimeError::Unwritable {
            file: file.clone(),
            reason,
        })?;
        self.loaded = text;
        self.changes.clear();
        Ok(())
    }

    /// What `save` would change in the file as it is now, in the form of `diff -u`; empty: nothing.
    pub fn difference(&self) -> Result<String, RuntimeError> {
        let (on_disk, running) = (self.source.read()?, self.text()?);
        let file = self.source.file.display();
        let difference = TextDiff::from_lines(&on_disk, &running);
        let mut text = difference.unified_diff();
        Ok(text.header(&format!("{file}"), "running").to_string())
    }

    /// Keeps the changes for the next daemon.
    pub fn keep(&self, state_dir: &Path) {
        if let Err(error) = files::keep(state_dir, &self.changes) {
            warn!(path = %state_dir.display(), %error, "changes cannot be kept: a restart will forget them");
        }
    }

    /// The changes that are not in the file.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The text of what runs.
    fn text(&self) -> Result<String, ChangeError> {
        edit::all(&self.loaded, &self.changes)
    }

    /// With those of some changes that can be made one after the other; and the others.
    fn with(&self, changes: Vec<Change>) -> (Self, Vec<Change>) {
        let (mut runtime, mut left_out) = (self.clone(), Vec::new());
        for change in changes {
            let next = runtime.changed(change.clone());
            if next.config().is_ok() {
                runtime = next;
            } else {
                left_out.push(change);
            }
        }
        (runtime, left_out)
    }
}
