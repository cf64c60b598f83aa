//! The long way: packets whose ports are not where nearly every packet has them. Behind 802.1Q tags, IPv4 options or IPv6
//! extension headers, or in another fragment.

mod fragment;
mod walk;

pub(crate) use self::{
    fragment::ports,
    walk::{Walk, network},
};
use crate::{
    address::{V4, V6},
    follow::forward_segment,
    packet::{Packet, Wire},
    parse::Network,
    process::{Exit, Outcome, Stage, conclude},
    tables::Tables,
    verdict::Verdict,
};

/// Forwards a packet of a known flow after a longer look, or leaves it alone.
#[inline(always)]
pub fn detour<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let forwarded = match network(packet, tables) {
        Ok((Network::V4, network)) => forward::<V4, T>(packet, tables, network),
        Ok((Network::V6, _)) => Err(Exit::To(Stage::DetourV6)),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, forwarded)
}

/// The same for an IPv6 packet. A stage of its own: both families together take the verifier too far.
#[inline(always)]
pub fn detour_v6<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let forwarded = match network(packet, tables) {
        Ok((_, network)) => forward::<V6, T>(packet, tables, network),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, forwarded)
}

#[inline(always)]
fn forward<A, T: Tables>(packet: &mut Packet<'_>, tables: &T, network: usize) -> Result<Verdict, Exit>
where
    A: Walk<Header: Wire>,
{
    let walked = A::walk(packet, tables, network)?;
    let segment = fragment::segment(packet, tables, &walked)?;
    forward_segment::<A, T, false>(packet, tables, &segment)
}
