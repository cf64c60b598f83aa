//! Waiting for something to become true, with a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time between two looks. Short against anything that is waited for, long against the price of a look.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `look` until it finds something, and returns that with the time it took.
///
/// `look` gives `None` for "not yet"; an error of `look` ends the wait at once. After `limit` the error names
/// `what` was waited for.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok((found, start.elapsed()));
        }
        if start.elapsed() >= limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(PAUSE);
    }
}
