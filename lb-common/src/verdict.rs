//! What becomes of a packet.

use core::fmt;

use crate::reason::Reason;

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// To the host's own stack: untouched, or, for [`Reason::Local`], translated to a backend that runs there.
    Pass,
    /// Out of the interface that it came in by: forwarded, or, where there is a reason, as the answer to itself.
    Tx,
    /// Out of another interface.
    Redirect,
    /// Nowhere.
    Drop,
}

/// What becomes of a packet.
///
/// One word. An enum whose variants have different contents is packed into one wherever a function returns it, and unpacked
/// again, a tenth of all instructions; and of what a variant does not have LLVM copies registers that were never
/// written, which the verifier refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(u64);

impl Verdict {
    /// How many actions there are.
    pub const COUNT: usize = 4;

    /// The configuration's and statistics' words, in the order of [`Verdict::index`].
    pub const NAMES: [&'static str; Self::COUNT] = ["pass", "tx", "redirect", "drop"];

    /// Where the number of the reason, counted from 1, stands above the action; 0: forwarded.
    const REASON: u32 = 8;

    /// Where the interface stands above both.
    const INTERFACE: u32 = 32;

    /// To the host's own stack.
    #[inline(always)]
    #[must_use]
    pub const fn pass(reason: Reason) -> Self {
        Self::not_forwarded(Action::Pass, reason)
    }

    /// Back, as the answer to itself.
    #[inline(always)]
    #[must_use]
    pub const fn answer(reason: Reason) -> Self {
        Self::not_forwarded(Action::Tx, reason)
    }

    /// Nowhere.
    #[inline(always)]
    #[must_use]
    pub const fn drop(reason: Reason) -> Self {
        Self::not_forwarded(Action::Drop, reason)
    }

    #[inline(always)]
    const fn not_forwarded(action: Action, reason: Reason) -> Self {
        Self(action as u64 | (reason as u64).wrapping_add(1) << Self::REASON)
    }

    /// Out of the interface that it came in by, forwarded.
    pub const TX: Self = Self(Action::Tx as u64);

    /// Out of another interface, forwarded.
    #[inline(always)]
    #[must_use]
    pub const fn redirect(interface: u32) -> Self {
        Self(Action::Redirect as u64 | (interface as u64) << Self::INTERFACE)
    }

    /// Where it goes.
    #[inline(always)]
    #[must_use]
    pub const fn action(self) -> Action {
        match self.0 & 0xff {
            0 => Action::Pass,
            1 => Action::Tx,
            2 => Action::Redirect,
            _ => Action::Drop,
        }
    }

    /// Why it was not forwarded; `None` if it was.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        Reason::ALL.get(self.reason_index()?).copied()
    }

    /// Where the reason's counter stands; `None` if it was forwarded.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn reason_index(self) -> Option<usize> {
        ((self.0 >> Self::REASON & 0xff) as usize).checked_sub(1)
    }

    /// The interface that a redirected packet goes out of.
    #[inline(always)]
    #[must_use]
    pub const fn interface(self) -> u32 {
        (self.0 >> Self::INTERFACE) as u32
    }

    /// Where its counter stands.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Verdict")
            .field("action", &self.action())
            .field("reason", &self.reason())
            .field("interface", &self.interface())
            .finish()
    }
}
