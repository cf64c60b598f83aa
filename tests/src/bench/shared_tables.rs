//! Tables that two objects share.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result, bail};
use aya::maps::MapData;
use lb_user::dataplane::{Object, bpffs};

/// Ballast's tables under names in the BPF file system, for the other object to find; gone when dropped.
pub(super) struct SharedTables {
    directory: PathBuf,
    /// Each by its name, and where it is.
    pub(super) maps: Vec<(String, PathBuf)>,
}

impl SharedTables {
    pub(super) fn pin(object: &mut Object) -> Result<Self> {
        bpffs::ensure_mounted()
            .with_context(|| format!("cannot mount the BPF file system on {}", bpffs::MOUNT_POINT))?;
        let directory = Path::new(bpffs::MOUNT_POINT).join(format!("ballast-bench-{}", process::id()));
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let mut shared = Self {
            directory,
            maps: Vec::new(),
        };
        let ids = object.program("ballast")?.info()?.map_ids()?;
        for id in ids.context("this kernel does not tell a program's maps")? {
            shared.add(&MapData::from_id(id)?)?;
        }
        Ok(shared)
    }

    fn add(&mut self, map: &MapData) -> Result<()> {
        let info = map.info()?;
        let Some(name) = info.name_as_str() else {
            bail!("a table's name is not UTF-8");
        };
        let path = self.directory.join(name);
        map.pin(&path)?;
        self.maps.push((name.to_owned(), path));
        Ok(())
    }
}

impl Drop for SharedTables {
    fn drop(&mut self) {
        // Files of this file system go with their directory only one by one.
        for (_, path) in &self.maps {
            let _ = fs::remove_file(path);
        }
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
    }
}
