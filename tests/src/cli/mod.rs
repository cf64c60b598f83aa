//! What `ballast-lab` does, one file per command, and what the commands share.

mod events;
pub(crate) mod live;
pub(crate) mod once;
pub(crate) mod orders;
mod picture;
mod screen;

use anyhow::Result;
use lab::Lab;

/// Says what the lab was like, when something went wrong in it.
fn explained<T>(lab: &Lab, outcome: Result<T>) -> Result<T> {
    if outcome.is_err() {
        eprint!("{}", lab.explain());
    }
    outcome
}
