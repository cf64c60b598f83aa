//! How the kernel runs the program.

use aya::programs::XdpMode;
use lb_common::layout::{self, Settings};

/// How the kernel runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes an skb of a frame.
    Native,
    /// After that: works on every interface, and is slower.
    Generic,
}

impl Mode {
    /// The word of configuration and statistics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "xdp",
            Self::Generic => "xdp-generic",
        }
    }

    /// What the packet path has to do in this mode about checksums that a sender left unfinished.
    pub(super) fn partial_checksums(self) -> u32 {
        match self {
            Self::Native => layout::COMPLETE_PARTIAL,
            Self::Generic => layout::KEEP_PARTIAL,
        }
    }

    /// The mode of the packet path that goes by these settings.
    pub(super) fn in_force(settings: &Settings) -> Self {
        if settings.partial_checksums.load() == Self::Generic.partial_checksums() {
            Self::Generic
        } else {
            Self::Native
        }
    }
}

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Driver,
            Mode::Generic => Self::Skb,
        }
    }
}
