//! What is packed into an entry's words.

use super::fixture::{client, key, translated};
use crate::{
    address::{TCP, UDP, V4},
    flow::{Entry, Flow, State},
    layout::MAX_BACKENDS,
    link::Link,
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

/// Of a client's entry and of a reply's.
const DIRECTIONS: [State; 2] = [State::READY, State::READY.with(State::REPLY)];

/// An entry of a direction, to be filled.
fn of(state: State) -> Entry<V4> {
    let entry = Entry::default();
    entry.control.store(entry.control().with_state(state).0);
    entry
}

#[test]
fn an_entry_holds_any_flow() {
    for protocol in [TCP, UDP] {
        for backend in [0, 1, 0xffff, 0x1_0000, 0xa_bcde, MAX_BACKENDS - 1] {
            for state in DIRECTIONS {
                let (entry, flow) = (of(state), flow(protocol, backend));
                entry.fill(&flow, state);
                assert_eq!(entry.flow(), flow);
                assert!(entry.way().is_of(protocol) && entry.carries(&flow.key));
                assert!(!entry.way().is_of(TCP ^ UDP ^ protocol));
            }
        }
    }
}

#[test]
fn another_way_to_the_client_changes_nothing_else() {
    for state in DIRECTIONS {
        let (entry, flow) = (of(state), flow(UDP, 0xa_bcde));
        entry.fill(&flow, state);
        let client = client(2);
        entry.lead(&client, state);
        assert_eq!(entry.flow(), Flow { client, ..flow });
    }
}

#[test]
fn the_client_is_where_a_clients_frame_comes_from_and_a_reply_goes_to() {
    let flow = flow(TCP, 1);
    let came = flow.client.link;
    for (state, link) in DIRECTIONS
        .into_iter()
        .zip([came, Link::new(came.src(), came.dst())])
    {
        let entry = of(state);
        entry.fill(&flow, state);
        assert_eq!(entry.link(), link);
    }
}
