//! An instance's pins: tables and links that forward whether or not a daemon runs.

use std::{
    fmt::Display,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use aya::programs::links::PinnedLink;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    net::if_::if_indextoname,
};
use tracing::warn;

use super::{Object, bpffs, instance};

/// Name of a link, before the number of its interface: unlike names, numbers hold no dots and never change.
const LINK: &str = "link-";

/// The same of the link that packets leave by.
const EGRESS: &str = "egress-";

/// The pins of an instance, which nobody else may touch meanwhile.
///
/// Until [`Pins::keep`] is called, or if they were in force already, dropping this removes them: a daemon that
/// fails to start leaves nothing behind, one that dies later leaves its packet path forwarding.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
    socket: PathBuf,
    keep: bool,
    /// On the directory itself, so that it holds for all who see the same BPF file system. The kernel releases it
    /// however its holder ends.
    _lock: Flock<File>,
}

/// The pins of an instance cannot be had.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// Somebody has them.
    #[error("the packet path of {path} belongs to a daemon that is running; `ballast stop --socket {path}` ends it", path = .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("cannot use {}, where packet paths are kept: {reason}; this needs root and the BPF file system", .path.display())]
    Io {
        /// Directory of the pins.
        path: PathBuf,
        /// Why, in the system's words.
        reason: io::Error,
    },
}

/// A packet path is in force that this daemon cannot go on with.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot adopt the packet path that is in force: {reason}; `ballast stop --socket {}` removes it, which \
     interrupts its flows",
    .socket.display()
)]
pub struct AdoptError {
    reason: String,
    socket: PathBuf,
}

impl Pins {
    /// Takes the pins of the instance whose control socket is at `socket`; makes a place for them if there is none.
    pub fn claim(socket: &Path) -> Result<Self, PinsError> {
        let failed = |reason| failed(Path::new(bpffs::ROOT), reason);
        bpffs::ensure_mounted().map_err(failed)?;
        let directory = Path::new(bpffs::ROOT).join(instance::name(socket).map_err(failed)?);
        loop {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(failed)?;
            // Whoever had it may have removed it meanwhile; then it is made again.
            if let Some(pins) = Self::take(&directory, socket)? {
                return Ok(pins);
            }
        }
    }

    /// Takes the pins that an instance has left behind; `None` if it has not.
    pub fn find(socket: &Path) -> Result<Option<Self>, PinsError> {
        let failed = |reason| failed(Path::new(bpffs::ROOT), reason);
        if !bpffs::is_mounted().map_err(failed)? {
            return Ok(None);
        }
        let directory = Path::new(bpffs::ROOT).join(instance::name(socket).map_err(failed)?);
        Self::take(&directory, socket)
    }

    fn take(directory: &Path, socket: &Path) -> Result<Option<Self>, PinsError> {
        let lock = match lock(directory) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(PinsError::InUse(socket.to_owned()));
            }
            Err(error) => return Err(failed(directory, error)),
        };
        let mut pins = Self {
            directory: directory.to_owned(),
            socket: socket.to_owned(),
            keep: true,
            _lock: lock,
        };
        pins.keep = pins.are_in_force();
        Ok(Some(pins))
    }

    /// Whether packets are forwarded by them. Tables without a link are the rest of a start or stop that was cut short.
    #[must_use]
    pub fn are_in_force(&self) -> bool {
        !self.links().is_empty()
    }

    /// Leaves them in force when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Removes them all, and so detaches; the interfaces that were attached.
    pub fn remove(&mut self) -> Vec<String> {
        self.keep = true;
        let interfaces = self.links().into_iter().filter_map(interface_name).collect();
        self.clear();
        if let Err(error) = fs::remove_dir(&self.directory) {
            warn!(path = %self.directory.display(), %error, "cannot remove");
        }
        interfaces
    }

    /// Removes all but the place for them. Links go first, so that nothing ever forwards by half a set of tables.
    pub(super) fn clear(&self) {
        for interface in self.links() {
            self.unlink(interface);
        }
        for interface in self.egress_links() {
            self.unlink_egress(interface);
        }
        for program in Object::CONNECT {
            self.unlink_connect(program);
        }
        for path in entries(&self.directory) {
            if let Err(error) = fs::remove_file(&path) {
                warn!(path = %path.display(), %error, "cannot remove");
            }
        }
    }

    /// Removes the link of one interface, which detaches it.
    pub(super) fn unlink(&self, interface: u32) {
        detach(&self.link(interface));
    }

    /// Removes the link that packets leave an interface by, which detaches it.
    pub(super) fn unlink_egress(&self, interface: u32) {
        detach(&self.egress_link(interface));
    }

    /// Removes the link of a program for this host's own connections, which detaches it.
    pub(super) fn unlink_connect(&self, program: &str) {
        let path = self.connect_link(program);
        if path.exists() {
            detach(&path);
        }
    }

    /// Where a table is pinned.
    pub(super) fn table(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the link of an interface is pinned.
    pub(super) fn link(&self, interface: u32) -> PathBuf {
        self.directory.join(format!("{LINK}{interface}"))
    }

    /// Where the link is pinned that packets leave an interface by.
    pub(super) fn egress_link(&self, interface: u32) -> PathBuf {
        self.directory.join(format!("{EGRESS}{interface}"))
    }

    /// Where the link of a program for this host's own connections is pinned.
    pub(super) fn connect_link(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Numbers of the interfaces that have a link.
    pub(super) fn links(&self) -> Vec<u32> {
        self.numbers(LINK)
    }

    /// Numbers of the interfaces that have a link which packets leave by.
    pub(super) fn egress_links(&self) -> Vec<u32> {
        self.numbers(EGRESS)
    }

    fn numbers(&self, prefix: &str) -> Vec<u32> {
        let number = |path: PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
        entries(&self.directory).filter_map(number).collect()
    }

    /// What a daemon says that cannot go on with these.
    #[must_use]
    pub fn refuse(&self, reason: impl Display) -> AdoptError {
        AdoptError {
            reason: reason.to_string(),
            socket: self.socket.clone(),
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if !self.keep {
            self.remove();
        }
    }
}

/// The control socket of the instance, of this network namespace, that has a link on an interface.
pub(super) fn owner(interface: u32) -> Option<PathBuf> {
    let link = format!("{LINK}{interface}");
    let mut owners = entries(Path::new(bpffs::ROOT)).filter(|directory| directory.join(&link).exists());
    owners.find_map(|directory| instance::socket_of(directory.file_name()?.to_str()?))
}

/// Locks a directory, and makes sure that it is still the one at that path.
fn lock(directory: &Path) -> io::Result<Flock<File>> {
    let file = File::open(directory)?;
    let inode = file.metadata()?.ino();
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno): (_, Errno)| errno)?;
    if fs::metadata(directory)?.ino() == inode {
        Ok(lock)
    } else {
        Err(ErrorKind::NotFound.into())
    }
}

/// Removes a link, which detaches it.
fn detach(path: &Path) {
    // Opened first, so that the last handle is a descriptor: the kernel detaches at once when it is closed, and some
    // time later when the last one was a file.
    let unpinned = match PinnedLink::from_pin(path) {
        Ok(link) => link.unpin().map(drop),
        Err(_) => fs::remove_file(path),
    };
    if let Err(error) = unpinned {
        warn!(path = %path.display(), %error, "cannot detach");
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn interface_name(number: u32) -> Option<String> {
    if_indextoname(number).ok()?.into_string().ok()
}

fn failed(path: &Path, reason: io::Error) -> PinsError {
    PinsError::Io {
        path: path.to_owned(),
        reason,
    }
}
