//! `ballast service`

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::{client::Client, configure};
use crate::runtime::Change;

/// Add and remove services
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    Add(Add),
    Remove(Remove),
}

/// Add a service
///
/// Keys that have no option here come from a file with one [[service]].
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast service add web --bind 10.0.0.100:80 --backend be1=10.0.0.1:8080 --backend be2=10.0.0.2:8080
  ballast service add web --file web.toml")]
pub(super) struct Add {
    #[command(flatten)]
    client: Client,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// File with its [[service]]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bind", "backends", "protocol", "mode", "scheduler"])]
    file: Option<PathBuf>,
    /// Address and port that clients connect to; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present = "file")]
    bind: Vec<SocketAddr>,
    /// A backend; may be repeated
    #[arg(long = "backend", value_name = "NAME=ADDRESS:PORT", value_parser = backend, required_unless_present = "file")]
    backends: Vec<(String, SocketAddr)>,
    /// tcp or udp
    #[arg(long)]
    protocol: Option<String>,
    /// Forwarding mode
    #[arg(long)]
    mode: Option<String>,
    /// Who gets a new flow
    #[arg(long)]
    scheduler: Option<String>,
}

/// Remove a service; the flows it has go on
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast service remove web")]
pub(super) struct Remove {
    #[command(flatten)]
    client: Client,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

impl ServiceCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => {
                let toml = add.toml()?;
                configure::change(
                    &add.client,
                    &Change::AddService {
                        service: add.name,
                        toml,
                    },
                )
            }
            Self::Remove(Remove { client, name }) => {
                configure::change(&client, &Change::RemoveService { service: name })
            }
        }
    }
}

impl Add {
    /// The service as it would stand in the file.
    fn toml(&self) -> anyhow::Result<String> {
        if let Some(file) = &self.file {
            return fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
        }
        let mut service = Table::new();
        service.insert("name", value(&self.name));
        let bind: Array = self.bind.iter().map(ToString::to_string).collect();
        service.insert("bind", value(bind));
        let optional = [
            ("protocol", &self.protocol),
            ("mode", &self.mode),
            ("scheduler", &self.scheduler),
        ];
        for (key, written) in optional {
            if let Some(written) = written {
                service.insert(key, value(written));
            }
        }
        let backends = self.backends.iter().map(|(name, address)| {
            let mut backend = Table::new();
            backend.insert("name", value(name));
            backend.insert("address", value(address.to_string()));
            backend
        });
        service.insert("backend", Item::ArrayOfTables(backends.collect()));
        let mut document = DocumentMut::new();
        let services: ArrayOfTables = [service].into_iter().collect();
        document.insert("service", Item::ArrayOfTables(services));
        Ok(document.to_string())
    }
}

fn backend(text: &str) -> Result<(String, SocketAddr), String> {
    let wrong = || "write NAME=ADDRESS:PORT, such as be1=10.0.0.1:8080".to_owned();
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), address.parse().map_err(|_| wrong())?))
}
