//! What the daemon logs, where to and how.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Variable that sets what is logged, such as `debug` or `info,lb_user::health=debug`.
const VARIABLE: &str = "BALLAST_LOG";

/// How it is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Lines for people, on stderr.
    #[default]
    Human,
    /// A JSON document in each line, on stderr.
    Json,
    /// To journald, each field one of its own.
    Journald,
}

/// Logs from now on.
pub(super) fn start(format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(VARIABLE)
        .from_env()
        .map_err(|error| {
            anyhow!("{VARIABLE} is not a log filter: {error}; write a level such as \"debug\"")
        })?;
    let registry = tracing_subscriber::registry().with(filter);
    let on_stderr = fmt::layer().with_writer(io::stderr);
    match format {
        Format::Human => {
            let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            registry
                .with(on_stderr.with_ansi(io::stderr().is_terminal() && !no_colour))
                .init();
        }
        Format::Json => registry.with(on_stderr.json().flatten_event(true)).init(),
        Format::Journald => registry
            .with(tracing_journald::layer().context("cannot reach journald; use another --log-format")?)
            .init(),
    }
    Ok(())
}
