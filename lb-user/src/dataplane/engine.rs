//! The engine that runs, whichever it is.

use std::{io, sync::Arc, time::Duration};

use lb_common::memory::{Heap, Memory};

use super::{AfPacket, AttachError, KeptFromHost, Losses, Sink, Tables, Xdp, af_packet::HostError};

/// An engine that forwards packets.
pub enum Engine {
    /// In the kernel.
    Xdp(Xdp),
    /// In this process.
    AfPacket(AfPacket),
}

/// An engine's tables, for work that goes on beside the daemon's.
pub enum SharedTables {
    /// The kernel's, mapped.
    Xdp(Arc<Tables>),
    /// This process's own.
    AfPacket(Arc<Heap>),
}

impl SharedTables {
    /// For reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        match self {
            Self::Xdp(tables) => tables.memory(),
            Self::AfPacket(heap) => heap.memory(),
        }
    }
}

/// Answers of backends on this host cannot be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// The program for it cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Packet sockets see what the host sends, but cannot change it.
    #[error("a backend on the balancer's own host needs dataplane xdp or xdp-generic")]
    NotByPacketSockets,
}

/// Packets cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("packets cannot be watched: {reason}")]
pub struct WatchError {
    /// What the kernel says.
    pub reason: io::Error,
}

impl Engine {
    /// The tables, for reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        match self {
            Self::Xdp(xdp) => xdp.memory(),
            Self::AfPacket(engine) => engine.memory(),
        }
    }

    /// The tables, for work that goes on beside the daemon's.
    #[must_use]
    pub fn tables(&mut self) -> SharedTables {
        match self {
            Self::Xdp(xdp) => SharedTables::Xdp(xdp.object().tables()),
            Self::AfPacket(engine) => SharedTables::AfPacket(engine.tables()),
        }
    }

    /// The flow table's clock now, in ticks.
    pub fn now(&mut self) -> io::Result<u32> {
        match self {
            Self::Xdp(xdp) => xdp.object().now().map_err(io::Error::other),
            Self::AfPacket(_) => Ok(AfPacket::now()),
        }
    }

    /// Length of a tick of that clock.
    #[must_use]
    pub fn tick(&mut self) -> Duration {
        match self {
            Self::Xdp(xdp) => xdp.object().tick(),
            Self::AfPacket(_) => AfPacket::TICK,
        }
    }

    /// The word of configuration and statistics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Xdp(xdp) => xdp.mode().as_str(),
            Self::AfPacket(_) => AfPacket::NAME,
        }
    }

    /// The interfaces that packets are taken from.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        match self {
            Self::Xdp(xdp) => xdp.interfaces(),
            Self::AfPacket(engine) => engine.interfaces(),
        }
    }

    /// Whether it takes the packets of the interface that has this name now.
    #[must_use]
    pub fn is_attached(&self, interface: &str) -> bool {
        match self {
            Self::Xdp(xdp) => xdp.is_attached(interface),
            // Its sockets are those of interfaces that there were at its start, by number, too.
            Self::AfPacket(engine) => engine.is_attached(interface),
        }
    }

    /// Why a better one was not taken.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        match self {
            Self::Xdp(xdp) => xdp.fallback(),
            Self::AfPacket(engine) => engine.fallback(),
        }
    }

    /// Whether it can go on forwarding when the daemon has ended.
    #[must_use]
    pub fn outlives_daemon(&self) -> bool {
        match self {
            Self::Xdp(_) => true,
            Self::AfPacket(_) => false,
        }
    }

    /// Has these packets kept from the host's own stack as well, if that gets what is forwarded at all. To be called
    /// before there can be any.
    pub fn keep_from_host(&mut self, kept: impl FnOnce() -> KeptFromHost) -> Result<(), HostError> {
        match self {
            Self::Xdp(_) => Ok(()),
            Self::AfPacket(engine) => engine.keep_from_host(&kept()),
        }
    }

    /// Sees to it that what backends on this host answer leaves from the virtual address.
    pub fn translate_answers(&mut self) -> Result<(), TranslateError> {
        match self {
            Self::Xdp(xdp) => Ok(xdp.translate_answers()?),
            Self::AfPacket(_) => Err(TranslateError::NotByPacketSockets),
        }
    }

    /// Has those packets shown there that the tables say are watched.
    pub fn show_to(&mut self, sink: Sink) -> Result<(), WatchError> {
        match self {
            Self::Xdp(xdp) => xdp.show_to(&sink).map_err(|reason| WatchError { reason }),
            Self::AfPacket(engine) => {
                engine.show_to(Some(sink));
                Ok(())
            }
        }
    }

    /// Shows no packets any more.
    pub fn show_to_nobody(&mut self) {
        match self {
            Self::Xdp(xdp) => xdp.show_to_nobody(),
            Self::AfPacket(engine) => engine.show_to(None),
        }
    }

    /// Packets that it lost on the way to the packet path or from there.
    #[must_use]
    pub fn losses(&self) -> Losses {
        match self {
            // Where a frame is lost before or after XDP, the interface counts it.
            Self::Xdp(_) => Losses::default(),
            Self::AfPacket(engine) => engine.losses(),
        }
    }

    /// Lets go of all interfaces and removes the tables; the interfaces' names.
    pub fn detach(self) -> Vec<String> {
        match self {
            Self::Xdp(xdp) => xdp.detach(),
            Self::AfPacket(engine) => engine.interfaces().to_vec(),
        }
    }
}
