//! Where a lab keeps its files, and the sweep that removes what killed labs left behind.
//!
//! Everything of a lab carries its identity, `ballast-<pid>-<n>`: its directory under [`ROOT`], its namespaces,
//! `ballast-<pid>-<n>-<role>`, and what its daemon pins in the BPF file system, by the path of its control socket.
//! What carries the pid of a process that is gone is swept.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

use crate::{command, namespace, pins};

/// Parent of all labs' directories.
pub const ROOT: &str = "/run/ballast-lab";

/// A lab's own directory, removed when dropped.
#[derive(Debug)]
pub struct RunDirectory {
    identity: String,
    path: PathBuf,
}

impl RunDirectory {
    /// Makes a directory with an identity that no other lab has.
    pub fn create() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let identity = format!(
            "ballast-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(ROOT).join(&identity);
        fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {} (this needs root)", path.display()))?;
        Ok(Self { identity, path })
    }

    /// `ballast-<pid>-<n>`.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        pins::remove(&self.identity);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Directories of the labs that run now.
pub fn running() -> Result<Vec<PathBuf>> {
    let live = names(ROOT)?
        .into_iter()
        .filter(|name| owner(name).is_some_and(is_alive));
    Ok(live.map(|name| Path::new(ROOT).join(name)).collect())
}

/// Removes the namespaces and directories of labs whose process is gone.
pub fn sweep() -> Result<()> {
    // Tests that start at once would all remove the same things, and all but the first find them gone.
    let _one_at_a_time = lock()?;
    let is_left_over = |name: &String| owner(name).is_some_and(|pid| !is_alive(pid));
    for name in names(namespace::DIRECTORY)?
        .iter()
        .filter(|name| is_left_over(name))
    {
        command::ip(["netns", "delete", name])?;
    }
    for name in names(ROOT)?.iter().filter(|name| is_left_over(name)) {
        pins::remove(name);
        fs::remove_dir_all(Path::new(ROOT).join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    Ok(())
}

/// Waits until nobody else has it; it is free again when the file is closed, also by a process's end.
fn lock() -> Result<fs::File> {
    let open = || {
        fs::create_dir_all(ROOT)?;
        let root = fs::File::open(ROOT)?;
        root.lock()?;
        Ok::<_, io::Error>(root)
    };
    open().with_context(|| format!("cannot lock {ROOT} (this needs root)"))
}

/// Names in a directory; none when it does not exist.
fn names(directory: &str) -> Result<Vec<String>> {
    if !Path::new(directory).exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {directory}"))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

/// The pid in the name of something that belongs to a lab.
fn owner(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix("ballast-")?.split_once('-')?;
    pid.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_have_an_owner() {
        assert_eq!(owner("ballast-123-1-client"), Some(123));
        assert_eq!(owner("ballast-123-1"), Some(123));
        assert_eq!(owner("ballast-one-1"), None);
        assert_eq!(owner("ballast"), None);
        assert_eq!(owner("other-123-1"), None);
    }
}
