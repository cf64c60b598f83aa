//! The configuration file: TOML text in, a [`Config`] that cannot be wrong out.
//!
//! Three steps, each in its own place: the text becomes tables and values (`raw`), those become the validated
//! types of [`types`] (`convert`), and whatever is wrong on the way becomes one line with its place in the file
//! ([`ConfigError`]).

mod convert;
mod error;
mod raw;
mod syntax;
#[cfg(test)]
mod tests;
pub mod types;

use std::{fs, path::Path};

pub use convert::{DEFAULT_SOCKET, interface_name};
pub use error::ConfigError;
pub use types::Config;

/// Reads and parses the configuration file at `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|reason| ConfigError::Unreadable {
        file: path.to_owned(),
        reason,
    })?;
    parse(&text, path)
}

/// Parses a configuration; `file` is what errors name as the place it came from.
pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let raw = syntax::read(text);
    raw.and_then(convert::config)
        .map_err(|fault| fault.locate(text, file))
}
