//! Progress as a person wants it: one line per step, with what it does and how long it took.

use std::{
    io::{self, Write as _},
    time::Instant,
};

use anyhow::Result;

/// Runs `work` behind a line that says `what` is going on.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprint!("  {what} … ");
    // Without it the line could show up only after the work.
    io::stderr().flush()?;
    let start = Instant::now();
    let outcome = work();
    match &outcome {
        Ok(_) => eprintln!("{:.1} s", start.elapsed().as_secs_f32()),
        Err(_) => eprintln!("failed"),
    }
    outcome
}
