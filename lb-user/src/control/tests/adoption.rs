//! A daemon goes on with another one's tables: who keeps which row, and what packets find meanwhile.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use lb_common::{
    Port, Tuple, V4,
    address::TCP,
    flow::{self, Client, State as FlowState},
    layout::Span,
    link::Link,
    manner::Forwarding,
    memory::{Heap, Worker},
    service,
};

use super::super::*;
use crate::{
    config,
    dataplane::Capacity,
    health::{Orders, Outcome, Report, State},
    next_hop::NextHop,
};

const VIP: &str = "10.0.0.100:80";
const OTHER_VIP: &str = "10.0.0.101:80";

/// A configuration of services, each with a virtual address and its backends' last octets.
fn config(services: &[(&str, &[u8])]) -> Config {
    config_with("", services)
}

fn config_with(global: &str, services: &[(&str, &[u8])]) -> Config {
    let backend = |number: &u8| {
        let address = address(*number);
        format!("[[service.backend]]\nname = \"b{number}\"\naddress = \"{address}\"\n")
    };
    let service = |(number, (bind, backends)): (usize, &(&str, &[u8]))| {
        let backends: String = backends.iter().map(backend).collect();
        format!("[[service]]\nname = \"s{number}\"\nbind = [\"{bind}\"]\ntable_size = 251\n{backends}")
    };
    let services: String = services.iter().enumerate().map(service).collect();
    let text = format!("[global]\ninterfaces = [\"v0\"]\n{global}\n{services}");
    config::parse(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn address(backend: u8) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, backend], 8080))
}

fn tables(config: &Config) -> Heap {
    let capacity = Capacity {
        flows_v4: 64,
        ..capacity(config, 2)
    };
    Heap::new(&capacity.with_room().sizes())
}

/// Takes the tables over, as a daemon does that starts.
fn start(config: Config, memory: &Memory<'_>) -> Control {
    let control = Control::new(config, memory).expect("there is room");
    control.install(memory).expect("there is room in the index");
    control
}

/// Finds all backends up, and the way to them.
fn bring_up(control: &mut Control, memory: &Memory<'_>) {
    let next_hops = next_hops(control, "v0");
    control.resolved(memory, &next_hops);
    for target in control.targets() {
        control.checked(memory, [event(target.id, State::Up)]);
    }
}

fn next_hops(control: &Control, interface: &str) -> NextHops {
    let hop = |address: IpAddr| NextHop {
        ifindex: 7,
        interface: interface.into(),
        source: "10.1.0.1".parse().expect("an address"),
        own_mac: [2, 0, 0, 0, 0, 1],
        peer_mac: [2, 0, 0, 0, 0, 2],
        mtu: match address {
            IpAddr::V4(_) => 1500,
            IpAddr::V6(_) => 1280,
        },
        gateway: None,
    };
    let destinations = destinations(control.config()).into_iter();
    destinations.map(|address| (address, Ok(hop(address)))).collect()
}

fn event(id: u32, state: State) -> Event {
    let outcome = match state {
        State::Up => Outcome::Ok,
        State::Down => Outcome::Failed,
    };
    let report = Report {
        outcome,
        detail: "".into(),
        warning: None,
        orders: Orders::default(),
        duration: Duration::ZERO,
        at: Instant::now(),
    };
    Event {
        id,
        report,
        state,
        changed: true,
    }
}

fn row(control: &Control, backend: u8) -> u32 {
    let mut placed = control.plan.placed();
    let found = placed.find(|(_, placed)| placed.address == address(backend));
    found.expect("the backend has a row").0
}

/// Backends that a packet to a virtual address may go to; none if it has no service.
fn chosen(memory: &Memory<'_>, bind: &str) -> Option<BTreeSet<u32>> {
    let bind: SocketAddr = bind.parse().expect("an address");
    let IpAddr::V4(ip) = bind.ip() else {
        panic!("IPv4 only")
    };
    let tuple = Tuple {
        src: V4([10, 9, 0, 1]),
        dst: V4(ip.octets()),
        src_port: Port::new(1),
        dst_port: Port::new(bind.port()),
    };
    let service = service::find(&Worker::new(*memory, 0, 0), memory.settings, &tuple, TCP)?;
    let Span { first, count } = Span::from_word(memory.services[service as usize].choices.load());
    let slots = (first..first + count).map(|slot| memory.choice(slot).expect("a slot").load());
    Some(slots.collect())
}

fn all_slots(memory: &Memory<'_>) -> Vec<u32> {
    let words = memory.choices.iter().flat_map(|word| &word.slots);
    words.map(lb_common::shared::Shared::<u32>::load).collect()
}

/// Opens a flow to a backend.
fn open_flow(memory: &Memory<'_>, backend: u32) {
    let tables = Worker::new(*memory, 0, 0);
    let key = Tuple {
        src: V4([10, 9, 0, 1]),
        dst: V4([10, 0, 0, 100]),
        src_port: Port::new(1),
        dst_port: Port::new(80),
    };
    let claim = flow::claim(&tables, memory.settings, &key, TCP).expect("room");
    let flow = flow::Flow {
        forwarding: Forwarding::Translate,
        key,
        to: key,
        protocol: TCP,
        backend,
        client: Client {
            interface: 1,
            link: Link::new([0; 6], [0; 6]),
        },
        partner: 0,
        attempts: 0,
        counted: 0,
        metered: false,
        cookie: 0,
    };
    claim.publish(&tables, &flow, FlowState::READY, 0);
}

#[test]
fn nobody_takes_flows_before_both_health_and_next_hop_are_known() {
    let config = config(&[(VIP, &[1, 2])]);
    let heap = tables(&config);
    let memory = heap.memory();
    let mut control = start(config, &memory);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::new()));
    control.checked(&memory, [event(0, State::Up)]);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::new()));
    bring_up(&mut control, &memory);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0, 1])));
}

#[test]
fn the_same_configuration_changes_nothing_in_the_tables() {
    let config = config(&[(VIP, &[1, 2, 3]), (OTHER_VIP, &[1, 2])]);
    let heap = tables(&config);
    let memory = heap.memory();
    let mut first = start(config.clone(), &memory);
    bring_up(&mut first, &memory);
    first.checked(&memory, [event(1, State::Down)]);
    let slots = all_slots(&memory);

    let mut second = start(config, &memory);
    assert_eq!(all_slots(&memory), slots);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0, 2])));
    second.checked(&memory, [event(0, State::Up)]);
    assert_eq!(all_slots(&memory), slots, "a check that finds what was known");
    second.checked(&memory, [event(1, State::Up)]);
    assert_eq!(
        all_slots(&memory),
        slots,
        "up, but the way there is not known yet"
    );
    let next_hops = next_hops(&second, "v0");
    second.resolved(&memory, &next_hops);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0, 1, 2])));
    second.checked(&memory, [event(2, State::Down)]);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0, 1])));
}

#[test]
fn backends_keep_their_rows_whatever_happens_to_the_others() {
    let before = config(&[(VIP, &[1, 2, 3])]);
    let heap = tables(&before);
    let memory = heap.memory();
    bring_up(&mut start(before, &memory), &memory);

    let after = start(config(&[(VIP, &[4, 3, 2])]), &memory);
    assert_eq!([2, 3].map(|backend| row(&after, backend)), [1, 2]);
    assert_eq!(row(&after, 4), 3, "a row that was nobody's");
    assert_eq!(backend_address(&memory.backends[0]), address(1));
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([1, 2])));
}

#[test]
fn a_row_is_free_when_its_backend_and_the_last_flow_to_it_are_gone() {
    let before = config(&[(VIP, &[1, 2, 3])]);
    let heap = tables(&before);
    let memory = heap.memory();
    bring_up(&mut start(before, &memory), &memory);
    open_flow(&memory, 0);
    memory.backend_counters[1].packets_in.store(9);

    let only_three = config(&[(VIP, &[3])]);
    drop(start(only_three.clone(), &memory));
    let taken = [0, 1, 2].map(|row: usize| memory.backends[row].service.load());
    assert_eq!(taken, [1, 1, 1], "packets may still be on their way to any");
    drop(start(only_three, &memory));
    let taken = [0, 1, 2].map(|row: usize| memory.backends[row].service.load());
    assert_eq!(taken, [1, 0, 1]);
    assert_eq!(
        memory.backend_counters[1].packets_in.load(),
        0,
        "counts of a backend that has gone"
    );
    assert_eq!(row(&start(config(&[(VIP, &[3, 4])]), &memory), 4), 1);
}

#[test]
fn services_are_known_by_their_virtual_addresses() {
    let before = config(&[(VIP, &[1]), (OTHER_VIP, &[2])]);
    let heap = tables(&before);
    let memory = heap.memory();
    bring_up(&mut start(before, &memory), &memory);

    // The second moves up and is renamed by that; the first is gone.
    drop(start(config(&[(OTHER_VIP, &[2])]), &memory));
    assert_eq!(chosen(&memory, VIP), None);
    assert_eq!(chosen(&memory, OTHER_VIP), Some(BTreeSet::from([1])));
    // And comes back.
    drop(start(config(&[(VIP, &[1]), (OTHER_VIP, &[2])]), &memory));
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::new()));
    assert_eq!(chosen(&memory, OTHER_VIP), Some(BTreeSet::from([1])));
}

#[test]
fn other_source_addresses_get_rows_that_no_packet_reads() {
    let with = |sources: &str| config_with(&format!("snat_addresses = {sources}"), &[(VIP, &[1])]);
    let first = with(r#"["10.1.0.21", "10.1.0.22"]"#);
    let heap = tables(&first);
    let memory = heap.memory();
    drop(start(first.clone(), &memory));
    let range = || {
        let Span { first, count } = Span::from_word(memory.backends[0].sources.load());
        (first, count)
    };
    assert_eq!(range(), (0, 2));
    drop(start(first, &memory));
    assert_eq!(range(), (0, 2), "the same");
    drop(start(with(r#"["10.1.0.23"]"#), &memory));
    assert_eq!(range(), (2, 1));
    drop(start(config(&[(VIP, &[1])]), &memory));
    let own = u32::try_from(memory.sources.len() - memory.backends.len()).expect("few rows");
    assert_eq!(range(), (own, 1));
}

#[test]
fn another_table_size_gets_another_place() {
    let before = config(&[(VIP, &[1])]);
    let heap = tables(&before);
    let memory = heap.memory();
    bring_up(&mut start(before.clone(), &memory), &memory);
    let mut after = before;
    after.services[0].table_size = 509;
    drop(start(after, &memory));
    let choices = Span::from_word(memory.services[0].choices.load());
    assert_eq!((choices.first, choices.count), (251, 509));
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0])));
}

#[test]
fn what_does_not_fit_is_refused() {
    let small = config(&[(VIP, &[1])]);
    let heap = Heap::new(&capacity(&small, 1).sizes());
    let memory = heap.memory();
    drop(start(small, &memory));
    let refused = Control::new(config(&[(VIP, &[1, 2])]), &memory).expect_err("one row");
    assert_eq!(refused.to_string(), "the tables have no room for another backend");
    let refused = Control::new(config(&[(VIP, &[1]), (OTHER_VIP, &[1])]), &memory);
    assert_eq!(
        refused.expect_err("room for one").to_string(),
        "the tables have no room for another service"
    );
    let mut crowded = config(&[(VIP, &[1, 2, 3])]);
    crowded.services[0].table_size = 2;
    assert_eq!(
        Control::new(crowded, &memory).expect_err("two slots").to_string(),
        "service s0 has 3 backends, more than the 2 slots of its choice table: make several services of it"
    );
    assert_eq!(
        PlanError::TooMany(1_048_577).to_string(),
        "1048577 backends are more than the 1048576 that tables have rows for: spread them over several balancers"
    );
}

#[test]
fn a_way_by_another_interface_is_not_taken_on_the_last_daemons_word() {
    let config = config(&[(VIP, &[1, 2])]);
    let heap = tables(&config);
    let memory = heap.memory();
    bring_up(&mut start(config.clone(), &memory), &memory);
    let mut second = start(config, &memory);
    let mut next_hops = next_hops(&second, "v0");
    next_hops.extend(
        self::next_hops(&second, "elsewhere0")
            .into_iter()
            .filter(|(destination, _)| *destination == address(2).ip()),
    );
    second.resolved(&memory, &next_hops);
    assert_eq!(chosen(&memory, VIP), Some(BTreeSet::from([0])));
}

/// Whether a backend's flows end.
fn ends(memory: &Memory<'_>, control: &Control, backend: u8) -> bool {
    use lb_common::layout::Backend;

    memory.backends[row(control, backend) as usize].hop.load() & Backend::ENDS != 0
}

#[test]
fn flows_of_a_backend_end_while_it_is_down_and_through_a_restart_of_the_daemon() {
    let config = config(&[(VIP, &[1, 2])]);
    let heap = tables(&config);
    let memory = heap.memory();
    let mut first = start(config.clone(), &memory);
    bring_up(&mut first, &memory);
    let down = row(&first, 2);
    first.checked(&memory, [event(down, State::Down)]);
    assert_eq!(
        [1, 2].map(|backend| ends(&memory, &first, backend)),
        [false, true]
    );
    // A next hop that changes meanwhile changes nothing about that.
    let next_hops = next_hops(&first, "v0");
    let mut second = start(config, &memory);
    second.resolved(&memory, &next_hops);
    assert_eq!(
        [1, 2].map(|backend| ends(&memory, &second, backend)),
        [false, true]
    );
    second.checked(&memory, [event(down, State::Up)]);
    assert!(!ends(&memory, &second, 2));
}

#[test]
fn flows_stay_where_the_service_keeps_them() {
    let config = config(&[(VIP, &[1, 2])]);
    let heap = tables(&config);
    let memory = heap.memory();
    let mut first = start(config.clone(), &memory);
    bring_up(&mut first, &memory);
    first.checked(&memory, [event(row(&first, 2), State::Down)]);
    assert!(ends(&memory, &first, 2));
    let mut keeps = config;
    keeps.services[0].on_down = OnDown::Keep;
    let mut second = start(keeps, &memory);
    assert!(!ends(&memory, &second, 2), "as soon as the daemon has read that");
    second.checked(&memory, [event(row(&second, 1), State::Down)]);
    assert!(!ends(&memory, &second, 1));
}

#[test]
fn flows_of_a_drained_backend_end_after_its_time_whoever_counts_it() {
    let mut config = config(&[(VIP, &[1, 2])]);
    config.services[0].backends[1].weight = 0;
    config.services[0].drain_timeout = Some(Duration::from_mins(5));
    let heap = tables(&config);
    let memory = heap.memory();
    let mut first = start(config.clone(), &memory);
    bring_up(&mut first, &memory);
    first.tend(&memory);
    assert!(!ends(&memory, &first, 2));
    let since = &memory.backends[row(&first, 2) as usize].drained;
    since.store(since.load() - 299_000);
    let mut second = start(config.clone(), &memory);
    bring_up(&mut second, &memory);
    second.tend(&memory);
    assert!(!ends(&memory, &second, 2), "a second is left");
    since.store(since.load() - 1_000);
    second.tend(&memory);
    assert_eq!(
        [1, 2].map(|backend| ends(&memory, &second, backend)),
        [false, true]
    );
    second.checked(&memory, [event(row(&second, 2), State::Up)]);
    assert!(ends(&memory, &second, 2), "good checks are no reason to stay");
    config.services[0].backends[1].weight = 100;
    let mut third = start(config, &memory);
    bring_up(&mut third, &memory);
    assert!(!ends(&memory, &third, 2));
}

#[test]
fn flows_live_as_long_as_their_service_says() {
    let mut config = config(&[(VIP, &[1])]);
    let service = &mut config.services[0];
    service.idle_timeout = Duration::from_secs(30);
    service.connect_timeout = Duration::from_secs(2);
    service.close_timeout = Duration::from_secs(3);
    let heap = tables(&config);
    let control = start(config, &heap.memory());
    let limits = control.limits(row(&control, 1), Duration::from_millis(10));
    assert_eq!(
        (limits.established, limits.half_open, limits.closed),
        (3_000, 200, 300)
    );
}

/// Who may open flows to a service, by what its list says in the packet path's own rows.
fn denied(memory: &Memory<'_>, bind: &str) -> (Span, Vec<u64>) {
    let bind: SocketAddr = bind.parse().expect("an address");
    let IpAddr::V4(ip) = bind.ip() else {
        panic!("IPv4 only")
    };
    let tuple = Tuple::new(V4::default(), V4(ip.octets()), 0);
    let tuple = Tuple {
        dst_port: Port::new(bind.port()),
        ..tuple
    };
    let service = service::find(&Worker::new(*memory, 0, 0), memory.settings, &tuple, TCP);
    let service = service.expect("the service is there");
    let span = Span::from_word(memory.services[service as usize].denied.load());
    let rows = memory
        .borders
        .iter()
        .skip(span.first as usize)
        .take(span.count as usize);
    (span, rows.map(|row| row.low.load() & 0xffff_ffff).collect())
}

#[test]
fn a_new_list_is_written_beside_the_one_in_force() {
    let with = |global: &str| config_with(global, &[(VIP, &[1])]);
    let heap = tables(&with(""));
    let memory = heap.memory();
    start(with(r#"deny = ["10.0.0.0/8"]"#), &memory);
    let before = Span::from_word(memory.settings.denied.load());
    assert_eq!((before.first, before.count), (0, 2));
    start(with(r#"deny = ["10.0.0.0/8"]"#), &memory);
    assert_eq!(
        Span::from_word(memory.settings.denied.load()),
        before,
        "the same stays"
    );
    start(with(r#"deny = ["11.0.0.0/8", "13.0.0.0/8"]"#), &memory);
    let other = Span::from_word(memory.settings.denied.load());
    assert_eq!((other.first, other.count), (2, 4), "beside it");
    let old = [&memory.borders[0], &memory.borders[1]].map(|row| row.low.load() & 0xffff_ffff);
    assert_eq!(
        old,
        [0x0a00_0000, 0x0b00_0000],
        "which packets may still be asked by"
    );
    start(with(r#"deny = ["12.0.0.0/8"]"#), &memory);
    let third = Span::from_word(memory.settings.denied.load());
    assert_eq!((third.first, third.count), (0, 2), "nobody reads these any more");
    start(with(""), &memory);
    assert_eq!(memory.settings.denied.load(), 0);
}

#[test]
fn services_have_lists_of_their_own_and_share_equal_ones() {
    let lists = |first: &str, second: &str| {
        let services = format!(
            "[[service]]\nname = \"a\"\nbind = [\"{VIP}\"]\n{first}\n\
             backend = [{{ name = \"b\", address = \"10.1.0.1:80\" }}]\n\
             [[service]]\nname = \"b\"\nbind = [\"{OTHER_VIP}\"]\n{second}\n\
             backend = [{{ name = \"b\", address = \"10.1.0.2:80\" }}]\n"
        );
        let text = format!("[global]\ninterfaces = [\"v0\"]\n{services}");
        config::parse(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
    };
    let of_ten = r#"allow = ["10.0.0.0/8"]"#;
    let heap = tables(&lists("", ""));
    let memory = heap.memory();
    start(lists(of_ten, of_ten), &memory);
    let (first, second) = (denied(&memory, VIP), denied(&memory, OTHER_VIP));
    assert_eq!(first, second);
    assert_eq!(first.1, [0, 0x0a00_0000, 0x0b00_0000], "all but ten");
    start(lists(r#"deny = ["10.0.0.0/8"]"#, of_ten), &memory);
    assert_eq!(denied(&memory, OTHER_VIP), second);
    let (rows, borders) = denied(&memory, VIP);
    assert_eq!((rows.first, borders), (3, vec![0x0a00_0000, 0x0b00_0000]));
}

#[test]
fn limits_of_sources_are_written_and_taken_back() {
    let with = |limits: &str| {
        let text = format!(
            "[global]\ninterfaces = [\"v0\"]\n[[service]]\nname = \"a\"\nbind = [\"{VIP}\"]\n{limits}\n\
             backend = [{{ name = \"b\", address = \"10.1.0.1:80\" }}]\n"
        );
        config::parse(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
    };
    let heap = tables(&with(""));
    let memory = heap.memory();
    let limits = || {
        let service = &memory.services[0];
        [&service.flow_rate, &service.source_flows, &service.packet_rate]
            .map(lb_common::shared::Shared::<u32>::load)
    };
    start(
        with("limits = { new_flows_per_second = 1, active_flows = 2, packets_per_second = 3 }"),
        &memory,
    );
    assert_eq!(limits(), [1, 2, 3]);
    start(with(""), &memory);
    assert_eq!(limits(), [0, 0, 0]);
}
