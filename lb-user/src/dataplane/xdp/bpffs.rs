//! The BPF file system: what is pinned there outlives the process that made it.

use std::{io, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use tracing::info;

/// Where systemd mounts it, and so everybody.
pub const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Ballast's own directory there; one directory per instance in it.
pub const ROOT: &str = "/sys/fs/bpf/ballast";

/// Mounts the BPF file system unless it is mounted.
///
/// A container or `ip netns exec` may have a `/sys` of its own without it. What is pinned in a mount made there
/// lives no longer than that mount namespace: whoever wants it to, mounts the host's.
///
/// # Errors
///
/// What the kernel says, as to who may not mount.
pub fn ensure_mounted() -> io::Result<()> {
    if is_mounted()? {
        return Ok(());
    }
    let kind = Some("bpf");
    mount(kind, MOUNT_POINT, kind, MsFlags::empty(), None::<&str>)?;
    info!("mounted the BPF file system on {MOUNT_POINT}, for this mount namespace");
    Ok(())
}

/// Whether it is mounted.
///
/// # Errors
///
/// What the kernel says, as to who has no such directory.
pub fn is_mounted() -> io::Result<bool> {
    Ok(statfs(Path::new(MOUNT_POINT))?.filesystem_type() == BPF_FS_MAGIC)
}
