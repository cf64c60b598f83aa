//! Asking a running daemon over its control socket.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use reqwest::{Method, RequestBuilder, Response};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    runtime::{self, Runtime},
    signal,
    time::timeout,
};

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
        Ok(self.question(path)?)
    }

    /// Asks for the document at `path`, of whoever may not be there.
    pub(super) fn question<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.exchange(Method::GET, path, &())
    }

    /// Asks for the document at `path` with these arguments.
    pub(super) fn ask_with<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &impl Serialize,
    ) -> anyhow::Result<T> {
        Ok(self.exchange(Method::GET, path, arguments)?)
    }

    /// Asks for the text at `path`, such as `stats.csv`.
    pub(super) fn ask_text(&self, path: &str) -> anyhow::Result<String> {
        let text = async {
            let answer = self.answer(self.request(Method::GET, path)?).await?;
            answer.text().await.context("the daemon's answer broke off")
        };
        runtime()?.block_on(text)
    }

    /// Gives the order at `path` that a document spells out.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> anyhow::Result<T> {
        let answered = async {
            let request = self.request(Method::POST, path)?.json(document);
            understood(self, self.answer(request).await?).await
        };
        Ok(runtime()?.block_on(answered)?)
    }

    /// Gives the order at `path` with these arguments.
    pub(super) fn order<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &impl Serialize,
    ) -> Result<T, AskError> {
        self.exchange(Method::POST, path, arguments)
    }

    /// Gives the order at `path` that a document spells out, and takes the answer in pieces as they come, until it ends or
    /// Ctrl-C is pressed.
    pub(super) fn follow(
        &self,
        path: &str,
        document: &impl Serialize,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let followed = async {
            let enough = signal::ctrl_c();
            let mut enough = pin!(enough);
            let request = self.request(Method::POST, path)?.json(document);
            // Only its beginning is waited for so long.
            let request = request.timeout(Duration::MAX);
            let mut answer = timeout(PATIENCE, self.answer(request))
                .await
                .map_err(|_| self.late())??;
            loop {
                tokio::select! {
                    piece = answer.chunk() => match piece.context("the daemon's answer broke off")? {
                        Some(piece) => take(&piece)?,
                        None => return Ok(()),
                    },
                    _ = &mut enough => return Ok(()),
                }
            }
        };
        runtime()?.block_on(followed)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        arguments: &impl Serialize,
    ) -> Result<T, AskError> {
        let document = async {
            let request = self.request(method, path)?.query(arguments);
            understood(self, self.answer(request).await?).await
        };
        runtime()?.block_on(document)
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let client = reqwest::Client::builder()
            .unix_socket(self.socket.as_path())
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(client.request(method, format!("http://ballast/api/v1/{path}")))
    }

    /// The answer to a request that could be answered.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, AskError> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let refusal = answer
            .json()
            .await
            .map_or(status.to_string(), |refusal: Refusal| refusal.error);
        if status.is_client_error() {
            // It has understood, and says why not.
            return Err(anyhow!(refusal).into());
        }
        let socket = self.socket.display();
        Err(anyhow!("the daemon at {socket} did not answer: {refusal}").into())
    }

    fn late(&self) -> anyhow::Error {
        let socket = self.socket.display();
        anyhow!("the daemon at {socket} did not answer within {PATIENCE:?}; see its log")
    }

    fn unreachable(&self, error: &reqwest::Error) -> AskError {
        let socket = self.socket.display();
        if error.is_timeout() {
            return self.late().into();
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

/// The document in an answer.
async fn understood<T: DeserializeOwned>(client: &Client, answer: Response) -> Result<T, AskError> {
    let document = answer.json().await.with_context(|| {
        format!(
            "cannot understand the daemon at {}; are the daemon and this program of the same version?",
            client.socket.display()
        )
    });
    Ok(document?)
}

fn runtime() -> anyhow::Result<Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
