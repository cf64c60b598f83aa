//! What is wrong with a configuration, and where.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::Spanned;

/// Why a configuration was refused. Prints as one line: place, what is wrong, what to do.
// The cause is a `reason`, not a `source`: it is in the line already, and a printed chain would repeat it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("{}: cannot be read: {reason}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why, in the system's words.
        reason: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {problem}; {advice}", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Line of the place, from 1.
        line: usize,
        /// Column of the place in characters, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        advice: String,
    },
}

/// Something wrong at a place that is still counted in bytes.
#[derive(Debug)]
pub(super) struct Fault {
    offset: usize,
    problem: String,
    advice: String,
}

impl Fault {
    /// Something wrong with a value.
    pub(super) fn at<T>(value: &Spanned<T>, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::within(value.span(), problem, advice)
    }

    /// Something wrong with a stretch of the text.
    pub(super) fn within(span: Range<usize>, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            offset: span.start,
            problem: problem.into(),
            advice: advice.into(),
        }
    }

    /// The same as an error that names the file, line and column.
    pub(super) fn locate(self, text: &str, file: &Path) -> ConfigError {
        let before = text.get(..self.offset).unwrap_or(text);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        ConfigError::Invalid {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: last_line.chars().count() + 1,
            problem: self.problem,
            advice: self.advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: usize) -> String {
        Fault::within(offset..offset, "x", "y")
            .locate(text, Path::new("f"))
            .to_string()
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        assert_eq!(place("", 0), "f:1:1: x; y");
        assert_eq!(place("ab\ncd", 2), "f:1:3: x; y");
        assert_eq!(place("ab\ncd", 3), "f:2:1: x; y");
        assert_eq!(place("ü = 1", "ü".len()), "f:1:2: x; y");
        assert_eq!(place("ab\n", 3), "f:2:1: x; y");
    }
}
