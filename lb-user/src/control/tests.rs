//! The control plane over plain memory, its work looked at through the packet path's own look-ups.

mod adoption;
mod health;
mod modes;
mod scheduling;
mod succession;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use lb_common::{
    Address as _, Port, Tables as _, Tuple, V4,
    address::{AddressCell as _, TCP},
    choice,
    layout::{Backend, Span},
    memory::{Heap, Sizes, Worker},
    service,
};

use super::{Control, capacity, destinations};
use crate::{
    config,
    health::{Event, Orders, Outcome, Report, State},
    next_hop::{NextHop, NextHops, Unresolved},
    stats::ServiceState,
};

const CONFIG: &str = r#"
    [global]
    interfaces = ["eth0", "eth1"]

    [[service]]
    name = "web"
    bind = ["192.0.2.1:80", "[2001:db8::1]:80"]
    table_size = 251
    backend = [
        { name = "a", address = "10.0.0.1:8080" },
        { name = "b", address = "10.0.0.2:8080" },
        { name = "six", address = "[fd00::6]:8080" },
        { name = "idle", address = "10.0.0.9:8080", weight = 0 },
    ]

    [[service]]
    name = "db"
    bind = ["192.0.2.1:3306"]
    table_size = 251
    backend = [{ name = "a", address = "10.0.0.1:3306" }]
"#;

/// The rows as the plan lays them out: IPv4 before IPv6 within a service.
const A: u32 = 0;
const B: u32 = 1;
const IDLE: u32 = 2;
const SIX: u32 = 3;
const DB: u32 = 4;

struct World {
    control: Control,
    heap: Heap,
}

impl World {
    fn new(text: &str) -> Self {
        let config = config::parse(text, Path::new("test.toml")).unwrap();
        let heap = Heap::new(&Sizes {
            buckets_v4: 2,
            buckets_v6: 2,
            ..capacity(&config, 1).with_room().sizes()
        });
        let control = Control::new(config, &heap.memory()).unwrap();
        control.install(&heap.memory()).unwrap();
        Self { control, heap }
    }

    /// All backends checked and found, by a next hop each.
    fn ready(text: &str) -> Self {
        let mut world = Self::new(text);
        world.resolve(
            &destinations(world.control.config())
                .into_iter()
                .map(|to| (to, Ok(next_hop(1))))
                .collect(),
        );
        for target in world.control.targets() {
            world.check(target.id, State::Up);
        }
        world
    }

    /// Puts another configuration in the place of this one.
    fn succeed(&mut self, text: &str) {
        let config = config::parse(text, Path::new("test.toml")).unwrap();
        let memory = self.heap.memory();
        let mut next = self.control.succeed(config, &memory).unwrap();
        next.take_over(&mut self.control, &memory).unwrap();
        self.control = next;
    }

    fn check(&mut self, row: u32, state: State) {
        self.ordered(row, state, Orders::default());
    }

    /// A check by an agent that asks for something.
    fn ordered(&mut self, row: u32, state: State, orders: Orders) {
        let outcome = if state == State::Up {
            Outcome::Ok
        } else {
            Outcome::Failed
        };
        let report = Report {
            outcome,
            detail: "as the test says".into(),
            warning: None,
            orders,
            duration: Duration::from_millis(7),
            at: Instant::now(),
        };
        let event = Event {
            id: row,
            report,
            state,
            changed: true,
        };
        self.control.checked(&self.heap.memory(), [event]);
    }

    fn resolve(&mut self, next_hops: &NextHops) {
        self.control.resolved(&self.heap.memory(), next_hops);
    }

    /// The row of the service that the packet path finds at an address.
    fn service_at(&self, address: &str) -> Option<u32> {
        let address: SocketAddr = address.parse().unwrap();
        let IpAddr::V4(ip) = address.ip() else {
            unreachable!("only IPv4 is asked for")
        };
        let tables = Worker::new(self.heap.memory(), 0, 0);
        let key = Tuple {
            src: V4([198, 51, 100, 1]),
            dst: V4(ip.octets()),
            src_port: Port::new(40000),
            dst_port: Port::new(address.port()),
        };
        service::find(&tables, tables.settings().unwrap(), &key, TCP)
    }

    /// Which backends the packet path picks for many clients of a service, with the count of each.
    fn picked(&self, row: u32) -> BTreeMap<u32, usize> {
        let tables = Worker::new(self.heap.memory(), 0, 0);
        let service = tables.service(row).unwrap();
        let mut picked = BTreeMap::new();
        for port in 1..=5000 {
            let key = Tuple {
                src: V4([198, 51, 100, 1]),
                dst: V4([192, 0, 2, 1]),
                src_port: Port::new(port),
                dst_port: Port::new(80),
            };
            if let Ok(backend) = choice::pick(&tables, service, &key) {
                *picked.entry(backend).or_default() += 1;
            }
        }
        picked
    }

    fn statistics(&self) -> crate::stats::Statistics {
        self.control.statistics(&self.heap.memory(), "xdp")
    }
}

fn next_hop(last: u8) -> NextHop {
    NextHop {
        ifindex: 3,
        interface: "eth1".into(),
        source: "10.0.0.100".parse().unwrap(),
        own_mac: [2, 0, 0, 0, 0, 100],
        peer_mac: [2, 0, 0, 0, 0, last],
        mtu: 1500,
        gateway: None,
    }
}

#[test]
fn every_virtual_address_leads_to_its_service() {
    let world = World::new(CONFIG);
    assert_eq!(world.service_at("192.0.2.1:80"), Some(0));
    assert_eq!(world.service_at("192.0.2.1:3306"), Some(2));
    assert_eq!(world.service_at("192.0.2.1:81"), None);
    assert_eq!(world.service_at("192.0.2.2:80"), None);
}

#[test]
fn no_backend_takes_flows_before_its_health_and_next_hop_are_known() {
    let mut world = World::new(CONFIG);
    world.check(A, State::Up);
    assert_eq!(world.picked(0), BTreeMap::new());
    world.resolve(&[("10.0.0.1".parse().unwrap(), Ok(next_hop(1)))].into());
    assert_eq!(world.picked(0).into_keys().collect::<Vec<_>>(), [A]);
}

#[test]
fn equal_backends_share_and_one_without_weight_gets_nothing() {
    let picked = World::ready(CONFIG).picked(0);
    assert_eq!(
        picked.keys().copied().collect::<Vec<_>>(),
        [A, B],
        "{IDLE} has no weight, {SIX} is of IPv6"
    );
    assert!(
        picked.values().all(|count| (2000..3000).contains(count)),
        "{picked:?}"
    );
}

#[test]
fn a_backend_that_goes_down_leaves_and_the_other_takes_all() {
    let mut world = World::ready(CONFIG);
    world.check(A, State::Down);
    assert_eq!(world.picked(0), [(B, 5000)].into());
    world.check(A, State::Up);
    assert_eq!(world.picked(0).len(), 2);
}

#[test]
fn a_service_without_backends_picks_none_and_says_that_it_is_down() {
    let mut world = World::ready(CONFIG);
    world.check(DB, State::Down);
    assert_eq!(world.picked(2), BTreeMap::new());
    let states: Vec<_> = world
        .statistics()
        .services
        .iter()
        .map(|service| service.state)
        .collect();
    assert_eq!(states, [ServiceState::Up, ServiceState::Down]);
}

#[test]
fn a_new_next_hop_takes_the_place_of_the_old_one_and_a_lost_one_stays() {
    let mut world = World::ready(CONFIG);
    let to: IpAddr = "10.0.0.2".parse().unwrap();
    let peer = |world: &World| {
        let memory = world.heap.memory();
        let record = &memory.backends[B as usize];
        record.hops[(record.hop.load() & Backend::HOP) as usize]
            .link()
            .dst()[5]
    };
    for last in [7, 8, 9] {
        world.resolve(&[(to, Ok(next_hop(last)))].into());
        assert_eq!(peer(&world), last);
    }
    world.resolve(
        &[(
            to,
            Err(Unresolved::NoAnswer {
                neighbour: to,
                interface: "eth1".to_owned(),
            }),
        )]
        .into(),
    );
    assert_eq!(peer(&world), 9);
    assert_eq!(world.picked(0).len(), 2);
}

#[test]
fn a_backend_behind_an_interface_that_is_not_ours_takes_no_flows() {
    let mut world = World::new(CONFIG);
    world.check(A, State::Up);
    let elsewhere = NextHop {
        interface: "eth7".into(),
        ..next_hop(1)
    };
    world.resolve(&[("10.0.0.1".parse().unwrap(), Ok(elsewhere))].into());
    assert_eq!(world.picked(0), BTreeMap::new());
    let statistics = world.statistics();
    let check = &statistics.services[0].backends[0].check;
    assert!(check.detail.contains("eth7"), "{}", check.detail);
}

#[test]
fn full_nat_leaves_with_the_address_towards_each_backend() {
    let world = World::ready(CONFIG);
    let memory = world.heap.memory();
    let row = Span::from_word(memory.backends[A as usize].sources.load()).first;
    let source = memory.sources[row as usize].address.load();
    assert_eq!(V4::from_mapped(source), V4([10, 0, 0, 100]));
}

#[test]
fn full_nat_leaves_with_configured_addresses_where_there_are_some() {
    let configured = "[global]\nsnat_addresses = [\"fd00::2\", \"10.0.0.201\", \"10.0.0.202\"]";
    let world = World::ready(&CONFIG.replace("[global]", configured));
    let memory = world.heap.memory();
    let Span { first, count } = Span::from_word(memory.backends[A as usize].sources.load());
    let sources: Vec<_> = memory.sources[first as usize..(first + count) as usize]
        .iter()
        .map(|source| V4::from_mapped(source.address.load()))
        .collect();
    assert_eq!(sources, [V4([10, 0, 0, 201]), V4([10, 0, 0, 202])]);
}
