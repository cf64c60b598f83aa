//! `[stats]` after parsing.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// The stats page and API address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Where it listens: a loopback address, unless there are users.
    pub bind: SocketAddr,
    /// Path of the page, starting with `/`, free of characters that need escaping; default `/stats`.
    pub uri: String,
    /// Leave the version out of the page; default no.
    pub hide_version: bool,
    /// Title of the page, and realm of its authentication; default `Ballast`.
    pub realm: String,
    /// Who may look, and who may change something, with unique names. Without any, everybody who reaches the address may
    /// look, and nobody may change anything.
    pub users: Vec<User>,
    /// Speak TLS; default no.
    pub tls: Option<ServerTls>,
}

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, without `:`.
    pub name: String,
    /// Argon2 hash of the password, in PHC form.
    pub password_hash: String,
    /// What they may do; default look.
    pub role: Role,
}

impl fmt::Debug for User {
    /// Without the hash, which is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.role.as_str())
    }
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Look and change.
    Admin,
    /// Look.
    Viewer,
}

impl Role {
    /// Both.
    pub const ALL: &[Self] = &[Self::Admin, Self::Viewer];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }
}

/// Files of a server's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Its certificate and those between it and the root, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub private_key: PathBuf,
}
