//! What a service manager is told (`sd_notify(3)`), where one has started the daemon.

use sd_notify::NotifyState;
use tracing::debug;

/// The daemon forwards, and answers.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// It is alive: what is to be said more often than `WatchdogSec`, where that is set.
pub(super) fn alive() {
    tell(NotifyState::Watchdog);
}

/// It is about to end.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // Where there is none, this does nothing.
    if let Err(error) = sd_notify::notify(&[state]) {
        debug!(%error, "the service manager cannot be told");
    }
}
