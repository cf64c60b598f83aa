//! Long transfers: many bytes on one connection, compared by hash.

use std::{
    net::SocketAddr,
    panic::resume_unwind,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{backend_of, block_on, block_on_in, one_shot_client};
use crate::{
    Namespace,
    backend::{Blob, hex},
};

/// How long a transfer may take: two hundred at once, slow by intention and on a busy machine, take a minute or two.
const LIMIT: Duration = Duration::from_mins(6);

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the backend.
    Download,
    /// To the backend.
    Upload,
}

/// A transfer to make.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// Service or backend.
    pub target: SocketAddr,
    /// Which way.
    pub direction: Direction,
    /// Bytes.
    pub size: u64,
    /// Which bytes.
    pub seed: u64,
}

/// What came of a transfer.
#[derive(Debug, Clone)]
pub struct TransferReport {
    /// Who the other end was.
    pub backend: String,
    /// SHA-256 of what arrived.
    pub hash: String,
    /// SHA-256 of what was meant to arrive.
    pub expected: String,
}

impl TransferReport {
    /// Whether what arrived is what was meant.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.hash == self.expected
    }
}

impl Transfer {
    /// Makes the transfer from `namespace`, and waits for its end.
    pub fn run(self, namespace: &Namespace) -> Result<TransferReport> {
        let (backend, hash) = block_on_in(namespace, || async move {
            match self.direction {
                Direction::Download => self.download().await,
                Direction::Upload => self.upload().await,
            }
        })?;
        Ok(TransferReport {
            backend,
            hash,
            expected: self.blob().hash(),
        })
    }

    /// Makes the transfer from `namespace`; an error unless what arrives is what was meant.
    pub fn arrives(self, namespace: &Namespace) -> Result<()> {
        let report = self.run(namespace).with_context(|| format!("{self:?}"))?;
        ensure!(report.is_intact(), "{self:?}: {report:?}");
        Ok(())
    }

    /// Makes a transfer each way from `namespace`; an error unless what arrives is what was meant.
    pub fn both_ways(target: SocketAddr, size: u64, namespace: &Namespace) -> Result<()> {
        [Direction::Download, Direction::Upload]
            .into_iter()
            .try_for_each(|direction| {
                let seed = 3;
                Self {
                    target,
                    direction,
                    size,
                    seed,
                }
                .arrives(namespace)
            })
    }

    /// Begins a download from `namespace` that takes `duration` because the client reads slowly, and returns once
    /// it is known which backend sends.
    pub fn start_slowly(self, namespace: &Namespace, duration: Duration) -> Result<SlowTransfer> {
        let (sender, receiver) = mpsc::channel();
        let hurry = Arc::<Notify>::default();
        let thread = namespace.spawn({
            let hurry = Arc::clone(&hurry);
            move || block_on(self.download_slowly(duration, sender, hurry))
        });
        let Ok(backend) = receiver.recv() else {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            bail!("the transfer ended before it began");
        };
        Ok(SlowTransfer {
            backend,
            blob: self.blob(),
            hurry,
            thread,
        })
    }

    async fn download(self) -> Result<(String, String)> {
        let mut response = self.request_blob().await?;
        let backend = backend_of(&response)?;
        let mut hasher = Sha256::new();
        while let Some(chunk) = response.chunk().await.context("the download broke off")? {
            hasher.update(&chunk);
        }
        Ok((backend, hex(hasher)))
    }

    async fn download_slowly(
        self,
        duration: Duration,
        begun: mpsc::Sender<String>,
        hurry: Arc<Notify>,
    ) -> Result<String> {
        let mut response = self.request_blob().await?;
        // The receiver waits for this and nothing else.
        let _ = begun.send(backend_of(&response)?);
        let start = Instant::now();
        let mut hasher = Sha256::new();
        let mut received = 0;
        let mut is_slow = true;
        while let Some(chunk) = response.chunk().await.context("the download broke off")? {
            hasher.update(&chunk);
            received += chunk.len() as u64;
            if is_slow {
                let due = start + part(duration, received, self.size);
                is_slow = timeout_at(due, hurry.notified()).await.is_err();
            }
        }
        Ok(hex(hasher))
    }

    async fn upload(self) -> Result<(String, String)> {
        let request = one_shot_client(LIMIT)?.put(format!("http://{}/hash", self.target));
        let response = request
            .body(self.blob().bytes())
            .send()
            .await?
            .error_for_status()?;
        Ok((backend_of(&response)?, response.text().await?))
    }

    async fn request_blob(self) -> Result<reqwest::Response> {
        let Self {
            target, size, seed, ..
        } = self;
        let url = format!("http://{target}/blob?size={size}&seed={seed}");
        Ok(one_shot_client(LIMIT)?
            .get(url)
            .send()
            .await?
            .error_for_status()?)
    }

    fn blob(self) -> Blob {
        Blob::new(self.size, self.seed)
    }
}

/// A transfer under way.
#[derive(Debug)]
pub struct SlowTransfer {
    /// Who sends.
    pub backend: String,
    blob: Blob,
    hurry: Arc<Notify>,
    thread: JoinHandle<Result<String>>,
}

impl SlowTransfer {
    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets it go on as fast as it can.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Waits for its end.
    pub fn wait(self) -> Result<TransferReport> {
        let Self {
            backend,
            blob,
            thread,
            hurry: _,
        } = self;
        let hash = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        let hash = hash.with_context(|| format!("the transfer from {backend} failed"))?;
        Ok(TransferReport {
            backend,
            hash,
            expected: blob.hash(),
        })
    }
}

/// The time by which `received` of `size` bytes are due when all take `whole`.
#[expect(clippy::cast_precision_loss, reason = "a pace needs no 53 bits")]
fn part(whole: Duration, received: u64, size: u64) -> Duration {
    whole.mul_f64(received as f64 / size.max(1) as f64)
}
