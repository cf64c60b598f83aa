//! Changes of what runs.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::config::types::Admin;

/// A change of what runs: one of these, and nothing else, makes it differ from the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// An operator's word on whether a backend takes flows.
    State {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
        /// The word.
        state: Admin,
    },
    /// A backend's share of new flows.
    Weight {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
        /// The share.
        weight: u16,
    },
    /// One more backend.
    AddBackend {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
        /// Where it is.
        #[schema(value_type = String)]
        address: SocketAddr,
        /// Its share of new flows, if it is not the usual one.
        #[serde(default)]
        weight: Option<u16>,
        /// Whether it stands by.
        #[serde(default)]
        backup: bool,
    },
    /// One backend less.
    RemoveBackend {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
    },
    /// One more service.
    AddService {
        /// Its name.
        service: String,
        /// Its `[[service]]`, as it would stand in the file.
        toml: String,
    },
    /// One service less.
    RemoveService {
        /// Its name.
        service: String,
    },
}

impl Change {
    /// Whether an earlier change has no effect any more once this one is made.
    pub(super) fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (
                Self::State { service, backend, .. },
                Self::State {
                    service: of,
                    backend: which,
                    ..
                },
            )
            | (
                Self::Weight { service, backend, .. },
                Self::Weight {
                    service: of,
                    backend: which,
                    ..
                },
            ) => service == of && backend == which,
            _ => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State {
                service,
                backend,
                state,
            } => write!(f, "{service}/{backend} {state}"),
            Self::Weight {
                service,
                backend,
                weight,
            } => write!(f, "{service}/{backend} weight {weight}"),
            Self::AddBackend {
                service,
                backend,
                address,
                ..
            } => write!(f, "{service}/{backend} added at {address}"),
            Self::RemoveBackend { service, backend } => write!(f, "{service}/{backend} removed"),
            Self::AddService { service, .. } => write!(f, "service {service} added"),
            Self::RemoveService { service } => write!(f, "service {service} removed"),
        }
    }
}

/// A change does not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such service.
    #[error("there is no service `{0}`; `ballast stats` lists those there are")]
    NoService(String),
    /// There is no such backend.
    #[error("there is no backend `{0}/{1}`; `ballast backend list` lists those there are")]
    NoBackend(String, String),
    /// What should be one `[[service]]` is not.
    #[error("not one [[service]] of that name: {0}")]
    NotAService(String),
    /// The file is no TOML.
    #[error("cannot be edited: {0}")]
    NotToml(String),
}
