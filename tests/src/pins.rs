//! What a lab's daemon has pinned: tables and links that outlive it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lb_user::dataplane::bpffs;

/// Directories of what daemons of this lab have pinned.
#[must_use]
pub fn pinned(identity: &str) -> Vec<PathBuf> {
    entries(Path::new(bpffs::ROOT))
        .filter(|path| path.to_string_lossy().contains(&format!("+{identity}+")))
        .collect()
}

/// Removes all that daemons of this lab have pinned: flow tables are large.
pub(crate) fn remove(identity: &str) {
    for directory in pinned(identity) {
        let removed = entries(&directory)
            .try_for_each(fs::remove_file)
            .and_then(|()| fs::remove_dir(&directory));
        if let Err(error) = removed {
            eprintln!("cannot remove {}: {error}", directory.display());
        }
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}
