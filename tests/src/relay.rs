//! A way from the host's loopback to a TCP address inside a namespace.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::copy_bidirectional,
    net::{self, TcpStream},
    runtime,
    sync::Notify,
};

use crate::Namespace;

/// Port tried first: the stats page's own.
const USUAL_PORT: u16 = 1080;

/// Forwards connections until dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Relay {
    /// Forwards a port on the host's 127.0.0.1 to `target` in `namespace`.
    pub fn start(namespace: &Namespace, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", USUAL_PORT))
            .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
            .context("no free port on 127.0.0.1")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(Notify::new());
        let thread = namespace.spawn({
            let stop = Arc::clone(&stop);
            move || forward(listener, target, &stop)
        });
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// The host's end.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the relay to the stats page failed: {error:#}");
        }
    }
}

/// Runs on a thread inside the namespace: new sockets are made there, while `listener` stays where it was made.
fn forward(listener: TcpListener, target: SocketAddr, stop: &Notify) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = net::TcpListener::from_std(listener)?;
        loop {
            tokio::select! {
                () = stop.notified() => return Ok(()),
                accepted = listener.accept() => {
                    let (mut outside, _) = accepted?;
                    tokio::spawn(async move {
                        // A browser that goes away, or a daemon that is not there, ends this connection only.
                        let mut inside = TcpStream::connect(target).await?;
                        copy_bidirectional(&mut outside, &mut inside).await
                    });
                }
            }
        }
    })
}
