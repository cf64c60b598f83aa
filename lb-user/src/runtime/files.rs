//! What is kept in files, each replaced in one step: a reader, or a crash, finds the old one or the new one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use tracing::warn;

use super::change::Change;

/// Of `state_dir`: its owner and group may look.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// The changes that an earlier daemon has kept; none where it kept none, or they cannot be read.
pub(super) fn kept(state_dir: &Path) -> Vec<Change> {
    let file = changes_file(state_dir);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            warn!(path = %file.display(), %error, "cannot be read: changes of an earlier daemon are left out");
            return Vec::new();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        warn!(path = %file.display(), %error, "cannot be understood: changes of an earlier daemon are left out");
        Vec::new()
    })
}

/// Keeps changes for the next daemon.
pub(super) fn keep(state_dir: &Path, changes: &[Change]) -> io::Result<()> {
    let file = changes_file(state_dir);
    if changes.is_empty() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    make_directory(state_dir)?;
    write(&file, &serde_json::to_string_pretty(changes)?, |_| Ok(()))
}

/// Makes the directory for state, if there is none.
pub(super) fn make_directory(state_dir: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(state_dir)
}

/// Replaces a file's content; its owner and mode stay.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    // Where the path leads, lest a link to the file be replaced by a file.
    let file = fs::canonicalize(file)?;
    let was = fs::metadata(&file)?;
    write(&file, text, |new| {
        new.set_permissions(fs::Permissions::from_mode(was.mode() & 0o7777))?;
        fchown(new, Some(was.uid()), Some(was.gid()))
    })
}

fn write(file: &Path, text: &str, prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let beside = file.with_added_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut new = options.custom_flags(libc::O_NOFOLLOW).open(&beside)?;
    prepare(&new)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(beside, file)
}

fn changes_file(state_dir: &Path) -> PathBuf {
    state_dir.join("changes.json")
}
