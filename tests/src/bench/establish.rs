//! Flows to be met later, opened in this process over the kernel's tables.

use anyhow::{Context as _, Result, ensure};
use lb_common::{Packet, Tables, Verdict, process};

use super::scene::{Ends, INTERFACE, Kind, Protocol};

/// Opens a flow with its first packets, which the packet path gets in this process, over the kernel's tables.
/// Returns what the backend's packets to the client carry; `None` where the flow is refused.
pub(super) fn establish<T: Tables>(tables: &T, client: Ends, protocol: Protocol) -> Result<Option<Ends>> {
    let is_forwarded = |frame: &mut Vec<u8>| {
        let verdict = process(&mut Packet::new(frame, INTERFACE), tables);
        matches!(verdict, Verdict::Tx | Verdict::Redirect(_))
    };
    let mut first = client.frame(protocol, Kind::Open, 22);
    if !is_forwarded(&mut first) {
        return Ok(None);
    }
    let back = Ends::of_frame(&first)
        .context("the packet path made a frame that cannot be parsed")?
        .reversed();
    let answered = is_forwarded(&mut back.frame(protocol, Kind::Answer, 22));
    let established = is_forwarded(&mut client.frame(protocol, Kind::Data, 22));
    ensure!(answered && established, "a flow of {client:?} did not last");
    Ok(Some(back))
}
