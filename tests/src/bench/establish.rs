//! Flows to be met later, opened in this process over the kernel's tables.

use anyhow::{Context as _, Result, ensure};
use lb_common::{Packet, Tables, process};

use super::scene::{Ends, INTERFACE, Kind, Protocol};

/// As much as a tunnel puts around a packet.
const HEADROOM: usize = 64;

/// Opens a flow with its first packets, which the packet path gets in this process, over the kernel's tables.
/// Returns what the backend's packets to the client carry; `None` where the flow is refused.
pub(super) fn establish<T: Tables>(tables: &T, client: Ends, protocol: Protocol) -> Result<Option<Ends>> {
    let Some(first) = forwarded(tables, client.frame(protocol, Kind::Open, 22)) else {
        return Ok(None);
    };
    let back = Ends::of_frame(&first)
        .context("the packet path made a frame that cannot be parsed")?
        .reversed();
    let answered = forwarded(tables, back.frame(protocol, Kind::Answer, 22));
    let established = forwarded(tables, client.frame(protocol, Kind::Data, 22));
    ensure!(
        answered.is_some() && established.is_some(),
        "a flow of {client:?} did not last"
    );
    Ok(Some(back))
}

/// Opens a flow whose answers do not pass the balancer, as [`establish`] does.
pub(super) fn establish_one_way<T: Tables>(tables: &T, client: Ends, protocol: Protocol) -> Result<()> {
    for kind in [Kind::Open, Kind::Data] {
        forwarded(tables, client.frame(protocol, kind, 22))
            .with_context(|| format!("a flow of {client:?} is refused"))?;
    }
    Ok(())
}

/// The frame as it is sent on.
fn forwarded<T: Tables>(tables: &T, frame: Vec<u8>) -> Option<Vec<u8>> {
    let length = frame.len();
    let mut buffer = vec![0; HEADROOM];
    buffer.extend(frame);
    let mut packet = Packet::in_buffer(&mut buffer, HEADROOM, length, INTERFACE)?;
    let verdict = process(&mut packet, tables);
    verdict.reason().is_none().then(|| packet.bytes().to_vec())
}
