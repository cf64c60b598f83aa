//! Packets for whoever watches them: which, how many and for how long, and what is said of each.
//!
//! The packet path shows each of them twice, as it came in and with what became of it ([`lb_common::watch()`]). Here the two
//! are put together, and told in lines ([`lines`]) or written to a file that others read ([`pcap`]).

mod filter;
mod frame;
mod lines;
mod order;
mod packets;
mod pcap;
#[cfg(test)]
mod tests;

pub use filter::{Client, NoClient};
pub use lines::{Line, Packet, lines};
pub use order::{Capture, Filter, Trace, Watch};
pub use packets::{Names, Watched};
pub use pcap::pcap;
