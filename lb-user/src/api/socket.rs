//! The control socket: found by its path, guarded by its mode, and owned by one daemon at a time.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{routes, server::Server};
use crate::daemon::Handle;

/// The owner and its group may talk to the daemon.
const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// The control socket cannot be listened on.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon has it.
    #[error("{} belongs to a daemon that is running; stop that one or set another `socket` in [global]", .0.display())]
    InUse(PathBuf),
    /// Its path leads to something of someone else's.
    #[error("{} exists and is not a socket; remove it or set another `socket` in [global]", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}: {reason}; make it possible or set another `socket` in [global]", .path.display())]
    Io {
        /// The socket, its directory or its lock.
        path: PathBuf,
        /// Why, in the system's words.
        reason: io::Error,
    },
}

/// Listens on the Unix socket at `path` and serves the API there until `shutdown`, then removes the socket. Beside its owner
/// the members of `group` may use it, or of the daemon's own group.
///
/// A socket that a dead daemon left behind is replaced; one that somebody listens on is not.
pub async fn serve_socket(
    path: &Path,
    group: Option<u32>,
    handle: Handle,
    shutdown: CancellationToken,
) -> Result<Server<PathBuf>, SocketError> {
    let lock = claim(path)?;
    clear(path).await?;
    let listener = listen(path, group).map_err(|reason| SocketError::Io {
        path: path.to_owned(),
        reason,
    })?;
    let owned = OwnedSocket {
        path: path.to_owned(),
        _lock: lock,
    };
    Ok(Server::start(
        path.to_owned(),
        listener,
        routes::everything(handle),
        shutdown,
        owned,
    ))
}

/// The socket's file, removed when dropped, and the lock that makes it ours to remove.
struct OwnedSocket {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "the control socket could not be removed");
        }
    }
}

/// Takes the lock beside the socket. The kernel releases it however a daemon ends, and of two daemons that start
/// at the same moment one gets it.
fn claim(path: &Path) -> Result<Flock<File>, SocketError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |reason| SocketError::Io { path, reason }
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(failed(directory))?;
    let lock = path.with_added_extension("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&lock)
        .map_err(failed(&lock))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => SocketError::InUse(path.to_owned()),
        other => failed(&lock)(other.into()),
    })
}

/// Removes a socket that nobody listens on any more.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |reason| SocketError::Io {
        path: path.to_owned(),
        reason,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Binds, sets group and mode and only then listens: before that nobody can connect, whatever the umask was.
fn listen(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    chown(path, None, group)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)
}
