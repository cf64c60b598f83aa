//! The word that an entry of the flow table is owned by.

/// What an entry is and how far its flow has come. Both entries of a flow carry the same, but for
/// [`State::REPLY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State(pub u8);

impl State {
    /// Free.
    pub const FREE: Self = Self(0);
    /// Claimed by somebody who fills it.
    pub const CLAIMED: Self = Self(0x01);
    /// Holds a flow.
    pub const READY: Self = Self(0x02);
    /// The entry is for packets from the backend.
    pub const REPLY: Self = Self(0x04);
    /// The backend has answered.
    pub const ANSWERED: Self = Self(0x08);
    /// The client has acknowledged the answer (TCP), or spoken again after it (UDP).
    pub const ESTABLISHED: Self = Self(0x10);
    /// The client has sent FIN.
    pub const CLIENT_FIN: Self = Self(0x20);
    /// The backend has sent FIN.
    pub const BACKEND_FIN: Self = Self(0x40);
    /// Both have, or one has sent RST: it lingers for stray packets and is not counted as active.
    pub const CLOSED: Self = Self(0x80);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other`.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Closed, if both sides have sent FIN.
    #[inline(always)]
    #[must_use]
    pub const fn settled(self) -> Self {
        if self.has(Self::CLIENT_FIN.with(Self::BACKEND_FIN)) {
            self.with(Self::CLOSED)
        } else {
            self
        }
    }

    /// Whether the entry stands for an active flow: the client's entry, not closed.
    #[inline(always)]
    #[must_use]
    pub const fn is_active(self) -> bool {
        self.0 & (Self::READY.0 | Self::REPLY.0 | Self::CLOSED.0) == Self::READY.0
    }

    /// Whether that flow is not established yet.
    #[inline(always)]
    #[must_use]
    pub const fn is_half_open(self) -> bool {
        self.is_active() && !self.has(Self::ESTABLISHED)
    }
}

/// The control word: tag of the key, generation, state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control(pub u64);

impl Control {
    const GENERATION: u64 = 0xff_ffff << 8;

    /// The part of a key's hash that the entry carries.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// How often the entry had been claimed when it got its flow, modulo 2²⁴: tells the flow from others that the entry
    /// held before.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        ((self.0 & Self::GENERATION) >> 8) as u32
    }

    /// The state.
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> State {
        State((self.0 & 0xff) as u8)
    }

    /// Whether all bits of a state are set. Cheaper than of [`Control::state`], from which LLVM makes a signed byte.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, state: State) -> bool {
        self.0 & state.0 as u64 == state.0 as u64
    }

    /// Whether both are words of one entry that holds the same flow, in whatever state.
    #[inline(always)]
    #[must_use]
    pub const fn is_same_flow(self, other: Self) -> bool {
        (self.0 ^ other.0) & !0xff == 0 && self.state().has(State::READY) && other.state().has(State::READY)
    }

    /// The word that claims an entry which this word was read from.
    #[inline(always)]
    #[must_use]
    pub const fn claimed(self, tag: u32) -> Self {
        let generation = self.0.wrapping_add(1 << 8) & Self::GENERATION;
        Self((tag as u64) << 32 | generation | State::CLAIMED.0 as u64)
    }

    /// The same with another state.
    #[inline(always)]
    #[must_use]
    pub const fn with_state(self, state: State) -> Self {
        Self(self.0 & !0xff | state.0 as u64)
    }

    /// The word that frees the entry: the generation stays, so that the next claim has a new one.
    #[inline(always)]
    #[must_use]
    pub const fn freed(self) -> Self {
        Self(self.0 & Self::GENERATION)
    }
}
