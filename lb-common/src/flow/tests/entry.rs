//! What is packed into an entry's words.

use super::fixture::{client, key, translated};
use crate::{
    address::{TCP, UDP, V4},
    flow::{Entry, Flow, Forwarding},
    layout::MAX_BACKENDS,
};

fn flow(protocol: u8, forwarding: Forwarding, backend: u32) -> Flow<V4> {
    Flow {
        key: key(1),
        to: translated(1),
        protocol,
        forwarding,
        backend,
        client: client(1),
        partner: 7,
    }
}

#[test]
fn an_entry_holds_any_flow() {
    let kinds = [TCP, UDP]
        .map(|protocol| [Forwarding::Translate, Forwarding::Local].map(|forwarding| (protocol, forwarding)));
    for (protocol, forwarding) in kinds.into_iter().flatten() {
        for backend in [0, 1, 0xffff, 0x1_0000, 0xa_bcde, MAX_BACKENDS - 1] {
            let (entry, flow) = (Entry::default(), flow(protocol, forwarding, backend));
            entry.fill(&flow);
            assert_eq!(entry.flow(), flow);
            assert!(entry.is_of(&flow.key, protocol));
            assert!(!entry.is_of(&flow.key, TCP ^ UDP ^ protocol));
        }
    }
}

#[test]
fn another_way_to_the_client_changes_nothing_else() {
    let (entry, flow) = (Entry::default(), flow(UDP, Forwarding::Local, 0xa_bcde));
    entry.fill(&flow);
    let client = client(2);
    entry.lead(&client);
    assert_eq!(entry.flow(), Flow { client, ..flow });
}
