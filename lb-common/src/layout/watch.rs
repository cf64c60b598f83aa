//! What is watched, if anything is; one record.

use crate::shared::Shared;

/// Which packets are shown on their way, and until when. Nothing looks at it but what shows them.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Watch {
    /// Which watch it is, counted from 1; 0: nothing is watched. Written last, and by the packet path when time is up.
    pub number: Shared<u32>,
    /// Until when, in ticks: whoever watches puts it off for as long as they do.
    pub until: Shared<u32>,
    /// How many packets each worker shows in a second.
    pub rate: Shared<u32>,
    /// How many bytes of each frame are shown at most.
    pub length: Shared<u32>,
    /// Rows of the services that packets have to be of, plus one each; both 0: of any or none.
    pub services: [Shared<u32>; 2],
    /// Row of the backend that packets have to be from or for, plus one; 0: any or none.
    pub backend: Shared<u32>,
    /// Port of the client, in host order; 0: any.
    pub client_port: Shared<u32>,
    /// The client's network, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub client: [Shared<u64>; 2],
    /// Which bits of a client's address have to be the network's.
    pub mask: [Shared<u64>; 2],
}

const _: () = {
    assert!(size_of::<Watch>() == 64);
};
