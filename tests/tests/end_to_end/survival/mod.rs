//! The packet path outlives its daemon: killed, stopped or replaced, it goes on forwarding, and the next daemon goes
//! on where the last one left off.

mod absence;
mod changes;
mod refusals;
mod replacement;
mod stop;
mod transfers;
