//! What is packed into an entry's words.

use super::fixture::{client, key, translated};
use crate::{
    address::{TCP, UDP, V4},
    flow::{Entry, Flow},
    layout::MAX_BACKENDS,
    manner::Forwarding,
};

fn flow(protocol: u8, backend: u32) -> Flow<V4> {
    Flow {
        forwarding: Forwarding::Local,
        key: key(1),
        to: translated(1),
        protocol,
        backend,
        client: client(1),
        partner: 7,
        attempts: 5,
        counted: 0xb,
        metered: true,
        cookie: 0x8000_0001,
    }
}

#[test]
fn an_entry_holds_any_flow() {
    for protocol in [TCP, UDP] {
        for backend in [0, 1, 0xffff, 0x1_0000, 0xa_bcde, MAX_BACKENDS - 1] {
            let (entry, flow) = (Entry::default(), flow(protocol, backend));
            entry.fill(&flow);
            assert_eq!(entry.flow(), flow);
            assert!(entry.way().is_of(protocol) && entry.carries(&flow.key));
            assert!(!entry.way().is_of(TCP ^ UDP ^ protocol));
        }
    }
}

#[test]
fn another_way_to_the_client_changes_nothing_else() {
    let (entry, flow) = (Entry::default(), flow(UDP, 0xa_bcde));
    entry.fill(&flow);
    let client = client(2);
    entry.lead(&client);
    assert_eq!(entry.flow(), Flow { client, ..flow });
}
