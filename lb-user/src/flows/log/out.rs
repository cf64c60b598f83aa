//! Where the lines of the flow log go: a thread of its own writes them, since a disk may take its time.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use tracing::warn;

use crate::{config::types::Destination, stats::observed};

/// Bytes that may wait to be written: some 30,000 lines. Not so many batches, of which a sweep makes hundreds in a moment.
const MOST_WAITING: usize = 16 << 20;

/// The log cannot be written to.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the flow log {}: {reason}; its directory must be there, and this process may write to it", .path.display())]
pub struct OpenError {
    path: PathBuf,
    reason: io::Error,
}

/// An open destination.
#[derive(Debug)]
pub enum Out {
    /// Standard output.
    Stdout,
    /// A file, and the path that it was opened by.
    File(File, PathBuf),
}

impl Out {
    /// Opens a destination; a file is made if there is none.
    pub fn open(to: &Destination) -> Result<Self, OpenError> {
        match to {
            Destination::Stdout => Ok(Self::Stdout),
            Destination::File(path) => {
                open(path)
                    .map(|file| Self::File(file, path.clone()))
                    .map_err(|reason| OpenError {
                        path: path.clone(),
                        reason,
                    })
            }
        }
    }

    /// Appends whole lines. A file that has lost its name to another one, or to none, is left to whoever renamed it.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File(file, path) => {
                if !is_named(file, path)? {
                    *file = open(path)?;
                }
                file.write_all(lines)
            }
        }
    }
}

/// Clients' addresses are not everybody's business.
fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o640).open(path)
}

/// Whether a path still leads to this file.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    Ok(fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
}

/// What the thread is to do.
enum Order {
    /// Write these lines, so many.
    Append(Vec<u8>, u64),
    /// Write elsewhere from now on.
    Turn(Out),
}

/// The thread that writes, which ends when this is dropped, after what waits.
#[derive(Debug)]
pub(super) struct Writer {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What both threads know.
#[derive(Debug, Default)]
struct Shared {
    /// Lines that could not be written.
    unwritten: AtomicU64,
    /// Bytes that wait to be.
    waiting: AtomicUsize,
}

impl Writer {
    pub(super) fn start(out: Out) -> io::Result<Self> {
        let (orders, received) = channel();
        let shared = Arc::new(Shared::default());
        let known = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("flow-log".to_owned())
            .spawn(move || write(out, &received, &known))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            shared,
        })
    }

    /// How many lines could not be written since this was last asked.
    pub(super) fn take_unwritten(&self) -> u64 {
        self.shared.unwritten.swap(0, Ordering::Relaxed)
    }

    /// Has lines written; says whether there was room for them.
    pub(super) fn append(&self, lines: Vec<u8>, count: u64) -> bool {
        let waiting = &self.shared.waiting;
        if waiting.load(Ordering::Relaxed) + lines.len() > MOST_WAITING {
            return false;
        }
        waiting.fetch_add(lines.len(), Ordering::Relaxed);
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.send(Order::Append(lines, count)).is_ok())
    }

    /// Has all that comes from now on written elsewhere, or to the file that has the name now.
    pub(super) fn turn(&self, out: Out) {
        if let Some(orders) = &self.orders {
            let _gone = orders.send(Order::Turn(out));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn write(mut out: Out, orders: &Receiver<Order>, shared: &Shared) {
    let mut failed = false;
    for order in orders {
        match order {
            Order::Turn(other) => out = other,
            Order::Append(lines, count) => {
                let written = out.append(&lines);
                shared.waiting.fetch_sub(lines.len(), Ordering::Relaxed);
                match &written {
                    Ok(()) => observed::flows_logged(count),
                    Err(error) => {
                        observed::flows_not_logged("unwritten", count);
                        shared.unwritten.fetch_add(count, Ordering::Relaxed);
                        if !failed {
                            warn!(%error, "the flow log cannot be written");
                        }
                    }
                }
                failed = written.is_err();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(path: &Path) -> Out {
        Out::open(&Destination::File(path.to_owned())).expect("a file")
    }

    #[test]
    fn a_renamed_file_keeps_what_it_has_and_gets_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, old) = (directory.path().join("flows"), directory.path().join("flows.1"));
        let writer = Writer::start(to(&path)).expect("a thread");
        let mut out = to(&path);
        out.append(b"one\n").expect("a line");
        fs::rename(&path, &old).expect("a new name");
        out.append(b"two\n").expect("a line");
        let text = |path| fs::read_to_string(path).expect("a file");
        assert_eq!((text(&old), text(&path)), ("one\n".into(), "two\n".into()));
        fs::remove_file(&path).expect("no file");
        writer.turn(to(&path));
        assert!(writer.append(b"three\n".into(), 1));
        drop(writer);
        assert_eq!(text(&path), "three\n", "all that waits is written at the end");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let to = Destination::File("/nonexistent/flows".into());
        let error = Out::open(&to).expect_err("there is no such directory");
        assert!(error.to_string().contains("/nonexistent/flows"), "{error}");
    }
}
