//! Whom the schedulers choose, as health and configuration have it.

use super::*;

/// A service of backends, each with what else is said of it.
fn world(scheduler: &str, backends: &[&str]) -> World {
    let backend = |(number, keys): (usize, &&str)| {
        format!("{{ name = \"b{number}\", address = \"10.0.0.{number}:80\", {keys} }}")
    };
    let backends: Vec<_> = (1..).zip(backends).map(backend).collect();
    World::ready(&format!(
        "[global]\ninterfaces = [\"eth1\"]\n[[service]]\nname = \"s\"\nbind = [\"192.0.2.1:80\"]\n\
         scheduler = \"{scheduler}\"\ntable_size = 251\nbackend = [{}]",
        backends.join(", ")
    ))
}

const ALL: [&str; 4] = ["maglev", "source", "round-robin", "least-conn"];

fn who(picked: &BTreeMap<u32, usize>) -> Vec<u32> {
    picked.keys().copied().collect()
}

#[test]
fn round_robin_shares_exactly_by_weight() {
    let mut world = world("round-robin", &["weight = 150", "weight = 100", "weight = 0"]);
    assert_eq!(world.picked(0), [(0, 3000), (1, 2000)].into());
    world.check(0, State::Down);
    assert_eq!(world.picked(0), [(1, 5000)].into());
    world.check(0, State::Up);
    assert_eq!(world.picked(0), [(0, 3000), (1, 2000)].into());
}

#[test]
fn source_leads_a_client_to_one_backend() {
    let world = world("source", &[""; 5].map(|_| "weight = 10"));
    assert_eq!(world.picked(0).len(), 1, "all of 5000 ports of one address");
}

#[test]
fn least_conn_follows_the_active_flows_and_the_weights() {
    let mut world = world("least-conn", &["weight = 100", "weight = 200", "weight = 0"]);
    let activate = |world: &World, row: usize, flows| world.heap.memory().backends[row].active.store(flows);
    activate(&world, 0, 10);
    activate(&world, 1, 19);
    assert_eq!(who(&world.picked(0)), [1]);
    activate(&world, 1, 21);
    assert_eq!(who(&world.picked(0)), [0]);
    world.check(0, State::Down);
    assert_eq!(who(&world.picked(0)), [1]);
}

#[test]
fn backups_take_flows_together_once_nobody_else_does() {
    for scheduler in ALL {
        let mut world = world(
            scheduler,
            &[
                "weight = 1",
                "weight = 1",
                "backup = true",
                "backup = true, weight = 50",
            ],
        );
        let usual = |world: &World| world.picked(0).into_keys().all(|row| row < 2);
        assert!(usual(&world), "{scheduler}");
        world.check(0, State::Down);
        assert_eq!(who(&world.picked(0)), [1], "{scheduler}: one is left");
        world.check(1, State::Down);
        let picked = world.picked(0);
        assert!(
            !picked.is_empty() && picked.keys().all(|row| *row > 1),
            "{scheduler}: {picked:?}"
        );
        if scheduler == "maglev" || scheduler == "round-robin" {
            assert_eq!(who(&picked), [2, 3], "{scheduler}: all of them at once");
        }
        world.check(1, State::Up);
        assert_eq!(who(&world.picked(0)), [1], "{scheduler}");
    }
}

#[test]
fn a_full_backend_s_flows_go_to_those_that_have_room() {
    for scheduler in ALL {
        let world = world(scheduler, &["maxconn = 5", "maxconn = 5", "maxconn = 5"]);
        let memory = world.heap.memory();
        memory.backends[0].active.store(5);
        memory.backends[2].active.store(7);
        assert_eq!(who(&world.picked(0)), [1], "{scheduler}");
        memory.backends[1].active.store(5);
        assert_eq!(who(&world.picked(0)), [0; 0], "{scheduler}");
    }
}

#[test]
fn active_flows_survive_the_daemon_and_slots_are_kept() {
    for scheduler in ALL {
        let mut world = world(scheduler, &["weight = 3", "weight = 1"]);
        let memory = world.heap.memory();
        memory.backends[0].active.store(3);
        memory.services[0].active.store(3);
        let slots = memory.services[0].slots.load();
        let next = Control::new(world.control.config().clone(), &memory).unwrap();
        next.install(&memory).unwrap();
        assert_eq!(memory.backends[0].active.load(), 3, "{scheduler}");
        assert_eq!(memory.services[0].active.load(), 3, "{scheduler}");
        assert_eq!(memory.services[0].slots.load(), slots, "{scheduler}");
        world.control = next;
        assert!(!world.picked(0).is_empty(), "{scheduler}: who took flows goes on");
    }
}
