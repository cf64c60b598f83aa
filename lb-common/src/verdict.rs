//! What becomes of a packet.

use crate::reason::Reason;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The host's own stack gets it: untouched, or, for [`Reason::Local`], translated to a backend that runs there.
    Pass(Reason),
    /// It goes out of the interface that it came in by.
    Tx,
    /// It goes out of the interface of this index.
    Redirect(u32),
    /// It goes back, as the answer to itself.
    Answer(Reason),
    /// Nobody gets it.
    Drop(Reason),
}

impl Verdict {
    /// How many kinds there are.
    pub const COUNT: usize = 4;

    /// The configuration's and statistics' words, in the order of [`Verdict::index`].
    pub const NAMES: [&'static str; Self::COUNT] = ["pass", "tx", "redirect", "drop"];

    /// Out of an interface, of a packet that came in by another or the same.
    #[inline(always)]
    #[must_use]
    pub const fn out_of(interface: u32, came_by: u32) -> Self {
        if interface == came_by {
            Self::Tx
        } else {
            Self::Redirect(interface)
        }
    }

    /// Where its counter stands.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Pass(_) => 0,
            Self::Tx | Self::Answer(_) => 1,
            Self::Redirect(_) => 2,
            Self::Drop(_) => 3,
        }
    }

    /// Why it was not forwarded.
    #[inline(always)]
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Pass(reason) | Self::Answer(reason) | Self::Drop(reason) => Some(reason),
            Self::Tx | Self::Redirect(_) => None,
        }
    }
}
