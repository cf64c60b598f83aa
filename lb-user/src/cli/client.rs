//! Asking a running daemon over its control socket.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens.
    #[error("cannot reach the daemon at {}: {reason}; is `ballast run` running?", .socket.display())]
    NobodyThere { socket: PathBuf, reason: io::Error },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Client {
    /// Asks the daemon whose control socket is at `socket`.
    pub(super) fn of(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The control socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks the API for the document at `path`, such as `stats`.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(self.exchange(Method::GET, path, &())?)
    }

    /// Asks for the document at `path` with these arguments.
    pub(super) fn ask_with<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &impl Serialize,
    ) -> anyhow::Result<T> {
        Ok(self.exchange(Method::GET, path, arguments)?)
    }

    /// Gives the order at `path` with these arguments.
    pub(super) fn order<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &impl Serialize,
    ) -> Result<T, AskError> {
        self.exchange(Method::POST, path, arguments)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        arguments: &impl Serialize,
    ) -> Result<T, AskError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?
            .block_on(self.answer(method, path, arguments))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        arguments: &impl Serialize,
    ) -> Result<T, AskError> {
        let client = reqwest::Client::builder()
            .unix_socket(self.socket.as_path())
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        let request = client
            .request(method, format!("http://ballast/api/v1/{path}"))
            .query(arguments);
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer
                .json()
                .await
                .map_or(status.to_string(), |refusal: Refusal| refusal.error);
            if status == StatusCode::CONFLICT {
                // It has understood, and says why not.
                return Err(anyhow!(refusal).into());
            }
            return Err(anyhow!(
                "the daemon at {} did not answer: {refusal}",
                self.socket.display()
            )
            .into());
        }
        let document = answer.json().await.with_context(|| {
            format!(
                "cannot understand the daemon at {}; are the daemon and this program of the same version?",
                self.socket.display()
            )
        })?;
        Ok(document)
    }

    fn unreachable(&self, error: &reqwest::Error) -> AskError {
        let socket = self.socket.display();
        if error.is_timeout() {
            return anyhow!("the daemon at {socket} did not answer within {PATIENCE:?}; see its log").into();
        }
        let mut cause: &dyn Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        match cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            Some(number @ (libc::ENOENT | libc::ECONNREFUSED)) => AskError::NobodyThere {
                socket: self.socket.clone(),
                reason: io::Error::from_raw_os_error(number),
            },
            _ => anyhow!("cannot reach the daemon at {socket}: {cause}").into(),
        }
    }
}
