//! What was found.

use comfy_table::Color;
use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Whether it is as it should be.
    pub(super) severity: Severity,
    /// Where: an interface, a file, a setting.
    pub(super) place: String,
    /// What is there, and what that means.
    pub(super) what: String,
    /// What mends it.
    pub(super) command: Option<String>,
}

/// Whether something is as it should be; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It would hurt.
    Wrong,
    /// It may hurt, or is worth knowing.
    Note,
    /// It is.
    Ok,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }

    pub(super) fn colour(self) -> Color {
        match self {
            Self::Wrong => Color::Red,
            Self::Note => Color::Yellow,
            Self::Ok => Color::Green,
        }
    }
}

impl Finding {
    pub(super) fn wrong(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Severity::Wrong, place, what)
    }

    pub(super) fn note(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, place, what)
    }

    pub(super) fn fine(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Severity::Ok, place, what)
    }

    /// The same with the command that mends it.
    pub(super) fn mended_by(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    fn new(severity: Severity, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity,
            place: place.into(),
            what: what.into(),
            command: None,
        }
    }
}
