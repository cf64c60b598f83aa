//! Short connections: connect, `GET /`, read the backend's name, close.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use super::{Failure, PATIENCE, Report, block_on, one_shot_client};
use crate::Namespace;

/// A load to make.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    target: SocketAddr,
    count: u64,
    concurrency: usize,
    pause: Duration,
}

impl Requests {
    /// `count` requests to `target`, sixteen at a time, as fast as they are answered.
    #[must_use]
    pub fn new(target: SocketAddr, count: u64) -> Self {
        Self {
            target,
            count,
            concurrency: 16,
            pause: Duration::ZERO,
        }
    }

    /// Requests at a few hundred a second until stopped: enough to miss nothing, and time for others to work.
    #[must_use]
    pub fn endless(target: SocketAddr) -> Self {
        Self {
            target,
            count: u64::MAX,
            concurrency: 8,
            pause: Duration::from_millis(20),
        }
    }

    /// About a hundred requests a second until stopped.
    #[must_use]
    pub fn steady(target: SocketAddr) -> Self {
        Self {
            concurrency: 2,
            ..Self::endless(target)
        }
    }

    /// Makes the requests in `namespace`, and waits for the last answer.
    pub fn run(self, namespace: &Namespace) -> Result<Report> {
        self.start(namespace).wait()
    }

    /// Makes the requests in `namespace` meanwhile.
    #[must_use]
    pub fn start(self, namespace: &Namespace) -> Running {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            begun: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            report: Mutex::new(Report::new()),
        });
        let thread = namespace.spawn({
            let shared = Arc::clone(&shared);
            move || block_on(self.work(shared))
        });
        Running {
            shared,
            thread: Some(thread),
        }
    }

    async fn work(self, shared: Arc<Shared>) -> Result<()> {
        let client = one_shot_client(PATIENCE)?;
        let url = format!("http://{}/", self.target);
        let mut workers = JoinSet::new();
        for _ in 0..self.concurrency {
            let (client, url, shared) = (client.clone(), url.clone(), Arc::clone(&shared));
            workers.spawn(async move {
                while shared.may_begin(self.count) {
                    let began = Instant::now();
                    let answer = ask(&client, &url).await;
                    shared.record(began, answer);
                    tokio::time::sleep(self.pause).await;
                }
            });
        }
        workers.join_all().await;
        Ok(())
    }
}

/// A load under way; stopped when dropped.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// What came of it so far.
    #[must_use]
    pub fn snapshot(&self) -> Report {
        self.shared.snapshot()
    }

    /// Whether the last request has been answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Begins no more requests, and waits for the answers to those that were begun.
    pub fn stop(self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits until all requests were made.
    pub fn wait(mut self) -> Result<Report> {
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(self.shared.snapshot())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever dropped it does not want to know how it went.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    begun: AtomicU64,
    stop: AtomicBool,
    report: Mutex<Report>,
}

impl Shared {
    fn may_begin(&self, count: u64) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.begun.fetch_add(1, Ordering::Relaxed) < count
    }

    fn record(&self, began: Instant, answer: Result<String>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(backend) => report.add_answer(backend, began.elapsed()),
            Err(error) => report.add_failure(Failure {
                began,
                reason: format!("{error:#}"),
            }),
        }
        report.elapsed = self.start.elapsed();
    }

    fn snapshot(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
    let name = response.text().await.context("the answer broke off")?;
    ensure!(!name.is_empty(), "the answer is empty");
    Ok(name)
}
