//! What forwarding modes ask of the tables.

use lb_common::{
    Port,
    layout::{PortFilter, Span},
    manner::{Forwarding, Manner},
};

use super::*;

/// A service of both families in a mode, with backends of both and a port of its own.
fn config(mode: &str) -> String {
    format!(
        r#"
        [global]
        interfaces = ["eth1"]

        [[service]]
        name = "web"
        bind = ["192.0.2.1:80", "[2001:db8::1]:80"]
        {mode}
        table_size = 251
        backend = [
            {{ name = "a", address = "10.0.0.1:80" }},
            {{ name = "six", address = "[fd00::6]:80" }},
        ]
        "#
    )
}

fn manners(world: &World) -> [Manner; 2] {
    let memory = world.heap.memory();
    [0, 1].map(|row: usize| Manner(memory.backends[row].manner.load()))
}

#[test]
fn a_tunnel_serves_both_families_by_backends_of_either() {
    let world = World::ready(&config("mode = \"tunnel\""));
    assert_eq!(world.service_at("192.0.2.1:80"), Some(0));
    assert_eq!(world.picked(0).into_keys().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        manners(&world),
        [Manner::tunnel(false, None), Manner::tunnel(true, None)]
    );
    let memory = world.heap.memory();
    let services = memory.services.iter();
    let with_choices = services.filter(|service| Span::from_word(service.choices.load()).count > 0);
    assert_eq!(with_choices.count(), 1, "both families have the same choices");
    assert_eq!(memory.backends[0].hops[1].mtu.load(), 1500);
}

#[test]
fn a_tunnel_knows_its_port() {
    let world = World::ready(&config(
        "mode = \"tunnel\"\nencapsulation = \"gue\"\ngue_port = 6081",
    ));
    let port = Some(Port::new(6081));
    assert_eq!(
        manners(&world),
        [Manner::tunnel(false, port), Manner::tunnel(true, port)]
    );
}

#[test]
fn a_backend_of_mode_dsr_behind_a_router_takes_no_flows() {
    let mut world = World::new(&config("mode = \"dsr\""));
    world.check(0, State::Up);
    let address = "10.0.0.1".parse().unwrap();
    let routed = NextHop {
        gateway: Some("10.0.0.254".parse().unwrap()),
        ..next_hop(1)
    };
    world.resolve(&[(address, Ok(routed))].into());
    assert_eq!(world.picked(0), BTreeMap::new());
    let statistics = world.statistics();
    let check = &statistics.services[0].backends[0].check;
    assert!(check.detail.contains("10.0.0.254"), "{}", check.detail);
    world.resolve(&[(address, Ok(next_hop(1)))].into());
    assert_eq!(world.picked(0).len(), 1);
    let forwarding = world.heap.memory().services[0].forwarding.load();
    assert_eq!(Forwarding::from_word(forwarding), Forwarding::Direct);
}

#[test]
fn answers_are_looked_for_by_source_port_only_where_a_service_needs_it() {
    for (mode, needs) in [
        ("nat", true),
        ("full-nat", false),
        ("dsr", false),
        ("tunnel", false),
    ] {
        let world = World::new(&config(&format!("mode = \"{mode}\"")));
        let ports = &world.heap.memory().settings.ports;
        let all = ports
            .destinations
            .iter()
            .all(|(_, bits)| bits.load() & PortFilter::BY_SOURCE != 0);
        assert_eq!(all, needs, "{mode}");
        let source = ports.sources.of(Port::new(80)).load();
        assert_eq!(source == PortFilter::TCP, needs, "{mode}");
    }
}

#[test]
fn syn_cookies_are_given_from_so_many_half_open_flows_on_and_never_for_backends_here() {
    let words = |world: &World| {
        let memory = world.heap.memory();
        [0, 1].map(|row: usize| memory.services[row].cookies.load())
    };
    for (mode, word) in [
        ("mode = \"full-nat\"", 262_144 / 64 + 1),
        ("syn_cookies = \"always\"", 1),
        ("syn_cookies = \"never\"", 0),
        ("mode = \"dsr\"", 0),
    ] {
        assert_eq!(words(&World::new(&config(mode))), [word; 2], "{mode}");
    }
    let mut world = World::ready(&config("syn_cookies = \"always\""));
    let address = "10.0.0.1".parse().unwrap();
    world.resolve(&[(address, Err(Unresolved::Local))].into());
    assert_eq!(words(&world), [0, 1], "of IPv4");
    world.resolve(&[(address, Ok(next_hop(1)))].into());
    assert_eq!(words(&world), [1, 1]);
}

#[test]
fn checksums_are_verified_at_the_ports_of_services_that_ask_for_it_and_no_longer() {
    let asking = |world: &World| {
        let memory = world.heap.memory();
        let ports = memory.settings.ports.destinations.iter();
        let ports = ports.filter(|(_, bits)| bits.load() & PortFilter::VERIFY != 0);
        let services = [0, 1].map(|row: usize| memory.services[row].verifies.load());
        (ports.map(|(port, _)| port.number()).collect::<Vec<_>>(), services)
    };
    let mut world = World::ready(&config("verify_checksums = true"));
    assert_eq!(asking(&world), (vec![80], [1; 2]));
    world.succeed(&config(""));
    assert_eq!(asking(&world), (vec![], [0; 2]));
}
