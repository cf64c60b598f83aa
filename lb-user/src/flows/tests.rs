//! A flow table as people see it.

use std::time::Duration;

use lb_common::{
    Address, Port, Tuple, V4, V6,
    address::{TCP, UDP},
    flow::{self, Client, State},
    layout::Backend,
    link::Link,
    manner::Forwarding,
    memory::{Heap, Memory, Sizes, Worker},
};

use super::*;

pub(super) const CLOCK: Clock = Clock {
    now: 10_000,
    tick: Duration::from_millis(4),
};

pub(super) fn tables() -> Heap {
    Heap::new(&Sizes {
        buckets_v4: 256,
        buckets_v6: 256,
        flow_log: true,
        ..Sizes::LEAST
    })
}

fn tuple<A: Address>(src: A, src_port: u16, dst: A, dst_port: u16) -> Tuple<A> {
    Tuple {
        src,
        dst,
        src_port: Port::new(src_port),
        dst_port: Port::new(dst_port),
    }
}

/// Puts a flow into the table, whose client's side and whose backend's side were last heard of at these ticks.
pub(super) fn open<A: Address>(
    memory: &Memory<'_>,
    (key, to): (Tuple<A>, Tuple<A>),
    protocol: u8,
    backend: u32,
    state: State,
    seen: [u32; 2],
) {
    let tables = Worker::new(*memory, 0, 0);
    let claim = |key| flow::claim(&tables, memory.settings, &key, protocol).expect("room");
    let [client, reply] = [key, to.reversed()].map(claim);
    let flow = flow::Flow {
        forwarding: Forwarding::Translate,
        key,
        to,
        protocol,
        backend,
        client: Client {
            interface: 1,
            link: Link::new([0; 6], [0; 6]),
        },
        partner: reply.index,
        attempts: 0,
        counted: 0,
        metered: false,
        cookie: 0,
    };
    let state = state.with(State::READY);
    reply.publish(
        &tables,
        &flow.reply(client.index),
        state.with(State::REPLY),
        seen[1],
    );
    client.publish(&tables, &flow, state, seen[0]);
}

pub(super) fn v4_flow(port: u16) -> (Tuple<V4>, Tuple<V4>) {
    (
        tuple(V4([10, 1, 0, 2]), port, V4([10, 0, 0, 100]), 80),
        tuple(V4([10, 1, 1, 1]), 1024 + port, V4([10, 1, 1, 2]), 8080),
    )
}

pub(super) fn names() -> Names {
    vec![Some(("web".to_owned(), "be1".to_owned())), None]
}

#[test]
fn a_flow_is_shown_once_with_both_translations() {
    let heap = tables();
    let memory = heap.memory();
    open(&memory, v4_flow(5), TCP, 0, State::ESTABLISHED, [7_500, 9_000]);
    let page = page(&memory, CLOCK, &names(), &Query::default());
    let address = |text: &str| text.parse().expect("an address");
    let flow = Flow {
        id: page.flows[0].id,
        client: address("10.1.0.2:5"),
        virtual_address: address("10.0.0.100:80"),
        protocol: "tcp".to_owned(),
        service: Some("web".to_owned()),
        backend: "be1".to_owned(),
        backend_address: address("10.1.1.2:8080"),
        snat_address: address("10.1.1.1:1029"),
        mode: "full-nat".to_owned(),
        state: FlowState::Established,
        idle_seconds: 4,
    };
    let (total, flows) = (1, vec![flow]);
    assert_eq!(
        page,
        FlowPage {
            total,
            flows,
            next: None
        }
    );
}

#[test]
fn both_families_and_a_backend_without_a_name() {
    let heap = tables();
    let memory = heap.memory();
    let address = |last: u8| V6::from_octets([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    let key = tuple(address(2), 9, address(100), 7);
    let to = tuple(address(1), 1033, address(3), 8080);
    open(&memory, (key, to), UDP, 1, State::FREE, [20_000, 20_000]);
    open(&memory, v4_flow(5), TCP, 0, State::FREE, [0, 0]);
    let all = page(&memory, CLOCK, &names(), &Query::default());
    assert_eq!(all.total, 2);
    let flow = &all.flows[1];
    assert_eq!(
        (flow.service.as_deref(), flow.backend.as_str()),
        (None, "[fd00::3]:8080")
    );
    assert_eq!((flow.protocol.as_str(), flow.state), ("udp", FlowState::HalfOpen));
    assert_eq!(flow.idle_seconds, 0, "seen after the clock was read");
    let service = Some("web".to_owned());
    let query = Query {
        service,
        ..Query::default()
    };
    assert_eq!(page(&memory, CLOCK, &names(), &query).total, 1);
}

#[test]
fn every_flow_is_on_one_page() {
    let heap = tables();
    let memory = heap.memory();
    for port in 0..25 {
        open(&memory, v4_flow(port), TCP, 0, State::ESTABLISHED, [0, 0]);
    }
    let (mut from, mut seen) = (None, Vec::new());
    loop {
        let query = Query {
            from,
            limit: Some(10),
            ..Query::default()
        };
        let page = page(&memory, CLOCK, &names(), &query);
        assert_eq!(page.total, 25);
        seen.push(page.flows.len());
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(seen, [10, 10, 5]);
}

#[test]
fn a_flows_state_has_one_word() {
    let heap = tables();
    let memory = heap.memory();
    let open_for_both = State::ANSWERED.with(State::ESTABLISHED);
    let states = [
        (State::FREE, FlowState::HalfOpen),
        (State::ANSWERED, FlowState::HalfOpen),
        (open_for_both, FlowState::Established),
        (open_for_both.with(State::BACKEND_FIN), FlowState::Closing),
        (State::CLIENT_FIN, FlowState::Closing),
        (open_for_both.with(State::CLOSED), FlowState::Closed),
    ];
    for (port, (state, _)) in (0..).zip(states) {
        open(&memory, v4_flow(port), TCP, 0, state, [0, 0]);
    }
    let page = page(&memory, CLOCK, &names(), &Query::default());
    for flow in page.flows {
        let (_, expected) = states[usize::from(flow.client.port())];
        assert_eq!(flow.state, expected, "{flow:?}");
    }
}

#[test]
fn rows_of_live_flows_are_found() {
    let heap = tables();
    let memory = heap.memory();
    open(&memory, v4_flow(1), TCP, 3, State::ESTABLISHED, [0, 0]);
    open(&memory, v4_flow(2), TCP, 5, State::CLOSED, [0, 0]);
    assert_eq!(backends(&memory).into_iter().collect::<Vec<_>>(), [3, 5]);
}

/// A flow that both ends have acknowledged something of, ended by its id; what is sent to its ends, parsed.
fn killed(state: State) -> (Heap, Kill) {
    let heap = tables();
    let memory = heap.memory();
    let record = &memory.backends[0];
    record.hop.store(Backend::KNOWN);
    record.hops[0].set_link(Link::new([7; 6], [8; 6]));
    record.hops[0].interface.store(1);
    open(&memory, v4_flow(5), TCP, 0, state, [9_000, 9_000]);
    for bucket in memory.buckets_v4 {
        for entry in &bucket.0 {
            let reply = entry.control().state().has(State::REPLY);
            entry.ack.store(u32::from_ne_bytes(
                if reply { 2000_u32 } else { 1000 }.to_be_bytes(),
            ));
        }
    }
    let id = page(&memory, CLOCK, &names(), &Query::default()).flows[0].id;
    let another = FlowId {
        generation: id.generation + 1,
        ..id
    };
    let refused = kill(&memory, 0, CLOCK, &names(), another);
    assert!(
        matches!(refused, Err(KillError::NoFlow(_))),
        "another flow's id: {refused:?}"
    );
    let kill = kill(&memory, 0, CLOCK, &names(), id).expect("the flow is there");
    (heap, kill)
}

fn tcp(shot: Option<Shot>) -> (String, etherparse::TcpHeader) {
    let Some(Shot::Frame { interface, bytes }) = shot else {
        panic!("no frame: {shot:?}");
    };
    assert_eq!(interface, 1);
    let frame = etherparse::SlicedPacket::from_ethernet(&bytes).expect("a frame");
    let Some(etherparse::NetSlice::Ipv4(ip)) = frame.net else {
        panic!("no IPv4");
    };
    let Some(etherparse::TransportSlice::Tcp(tcp)) = frame.transport else {
        panic!("no TCP");
    };
    let checksum = tcp
        .calc_checksum_ipv4(ip.header().source(), ip.header().destination())
        .expect("a checksum");
    assert_eq!(tcp.checksum(), checksum);
    let (header, ip) = (tcp.to_header(), ip.header());
    let ends = (
        ip.source_addr(),
        header.source_port,
        ip.destination_addr(),
        header.destination_port,
    );
    (format!("{}:{} > {}:{}", ends.0, ends.1, ends.2, ends.3), header)
}

#[test]
fn both_ends_of_a_killed_flow_get_the_reset_that_they_believe() {
    let established = State::ANSWERED.with(State::ESTABLISHED);
    let (heap, kill) = killed(established);
    for (shot, way, numbers) in [
        (kill.to_client, "10.0.0.100:80 > 10.1.0.2:5", (1000, 2000)),
        (kill.to_backend, "10.1.1.1:1029 > 10.1.1.2:8080", (2000, 1000)),
    ] {
        let (ends, header) = tcp(shot);
        assert_eq!(ends, way);
        assert!(header.rst && header.ack && !header.syn, "{header:?}");
        assert_eq!((header.sequence_number, header.acknowledgment_number), numbers);
    }
    let flows = page(&heap.memory(), CLOCK, &names(), &Query::default());
    assert_eq!(flows.total, 0, "it has left the table");
}

#[test]
fn a_flow_that_is_over_is_removed_in_silence() {
    let (_heap, kill) = killed(State::ANSWERED.with(State::CLOSED));
    assert_eq!((kill.to_client, kill.to_backend), (None, None));
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = FlowId {
        position: 0x3f2a,
        generation: 17,
    };
    assert_eq!(id.to_string(), "3f2a-11");
    assert_eq!("3f2a-11".parse::<FlowId>().expect("an id"), id);
    for wrong in ["", "3f2a", "-", "3f2a-", "3f2a-x", "3f2a-1-1"] {
        assert!(wrong.parse::<FlowId>().is_err(), "{wrong}");
    }
}
