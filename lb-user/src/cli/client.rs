//! Asking a running daemon over its control socket.

use std::{error::Error, path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};

use crate::config::DEFAULT_SOCKET;

/// A daemon that takes longer than this to answer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the daemon is found.
#[derive(Debug, Args)]
pub(super) struct Client {
    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", env = "BALLAST_SOCKET", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// What the API says when it cannot answer.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    /// Asks the API for the document at `path`, such as `stats`.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?
            .block_on(self.answer(path))
    }

    async fn answer<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let client = reqwest::Client::builder()
            .unix_socket(self.socket.as_path())
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        let request = client.get(format!("http://ballast/api/v1/{path}"));
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer
                .json()
                .await
                .map_or(status.to_string(), |refusal: Refusal| refusal.error);
            bail!(
                "the daemon at {} did not answer: {refusal}",
                self.socket.display()
            );
        }
        answer.json().await.with_context(|| {
            format!(
                "cannot understand the daemon at {}; are the daemon and this program of the same version?",
                self.socket.display()
            )
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let socket = self.socket.display();
        if error.is_timeout() {
            return anyhow!("the daemon at {socket} did not answer within {PATIENCE:?}; see its log");
        }
        let mut cause: &dyn Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        anyhow!("cannot reach the daemon at {socket}: {cause}; is `ballast run` running?")
    }
}
