//! Watching packets: one at a time, for as long as whoever watches is there.

use std::{io, sync::Arc};

use tokio::sync::watch;
use tracing::{info, warn};

use super::event_loop::Daemon;
use crate::{
    control::{self, FilterError},
    dataplane::{self, Sink},
    trace::{Names, Watch, Watched},
};

/// For how many seconds the packet path goes on by itself: should the daemon die, or hang, nobody watches after that.
const SECONDS: u32 = 5;

/// Packets cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Somebody does.
    #[error("{0} watches packets already; one can at a time")]
    Busy(String),
    /// Not those.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The engine cannot.
    #[error(transparent)]
    Engine(#[from] dataplane::WatchError),
    /// It has no clock to say by for how long.
    #[error("cannot read the packet path's clock: {0}")]
    Clock(String),
}

/// Somebody watches.
pub(super) struct Watching {
    who: String,
    watch: Watch,
    number: u32,
    sink: Sink,
    names: watch::Sender<Arc<Names>>,
}

impl Watching {
    /// Waits until whoever watches has gone; for ever, if nobody does.
    pub(super) async fn over(watching: Option<&Self>) {
        match watching {
            Some(watching) => watching.sink.closed().await,
            None => std::future::pending().await,
        }
    }
}

impl Daemon {
    /// Lets somebody watch, which is noted.
    pub(super) fn watch(&mut self, watch: Watch, who: String) -> Result<Watched, WatchError> {
        if let Some(watching) = &self.watching {
            if !watching.sink.is_closed() {
                return Err(WatchError::Busy(watching.who.clone()));
            }
            self.watch_no_more();
        }
        let rows = self.control.rows(&watch.filter)?;
        let (sink, packets, lost) = Sink::new();
        self.engine.show_to(sink.clone())?;
        control::begin_watch(&self.engine.memory(), &watch, rows);
        self.journal.note(&who, &watch.what);
        let (names, names_seen) = watch::channel(Arc::new(self.control.names_of_rows()));
        self.watches += 1;
        self.watching = Some(Watching {
            who,
            watch,
            number: self.watches,
            sink,
            names,
        });
        if let Err(error) = self.go_on_watching() {
            self.watch_no_more();
            return Err(WatchError::Clock(error.to_string()));
        }
        Ok(Watched {
            packets,
            lost,
            names: names_seen,
            tables: self.engine.tables(),
            number: self.watches,
        })
    }

    /// Puts the end off, if somebody watches.
    pub(super) fn go_on_watching(&mut self) -> io::Result<()> {
        let Some(watching) = &self.watching else {
            return Ok(());
        };
        let now = self.engine.now()?;
        let memory = self.engine.memory();
        let life = memory.settings.second.load().saturating_mul(SECONDS);
        control::go_on_watching(&memory, watching.number, now.wrapping_add(life));
        Ok(())
    }

    /// What is watched may have other rows and names in a new configuration, or none.
    pub(super) fn aim_watch(&mut self) {
        let Some(watching) = &self.watching else {
            return;
        };
        match self.control.rows(&watching.watch.filter) {
            Ok(rows) => {
                control::aim_watch(&self.engine.memory(), rows);
                watching
                    .names
                    .send_replace(Arc::new(self.control.names_of_rows()));
            }
            Err(error) => {
                warn!(%error, "what is watched is configured no more");
                self.watch_no_more();
            }
        }
    }

    /// Ends it, if somebody watches.
    pub(super) fn watch_no_more(&mut self) {
        if let Some(watching) = self.watching.take() {
            control::end_watch(&self.engine.memory());
            self.engine.show_to_nobody();
            info!(who = watching.who, "packets are watched no more");
        }
    }
}
