//! What checks and agents say, and what becomes of it.

use super::*;
use crate::health::Duty;

pub(super) const TRACKING: &str = r#"
    [global]
    interfaces = ["eth1"]

    [[service]]
    name = "reads"
    bind = ["192.0.2.1:80"]
    table_size = 251
    backend = [
        { name = "a", address = "10.0.0.1:8080" },
        { name = "b", address = "10.0.0.2:8080" },
    ]

    [[service]]
    name = "other"
    bind = ["192.0.2.2:80"]
    table_size = 251
    check = { track = "reads" }
    backend = [
        { name = "a", address = "10.0.0.1:9090" },
        { name = "z", address = "10.0.0.2:9090", check = { track = "reads/b" } },
    ]
"#;

/// The state and detail of a backend, by the numbers of its service and itself.
fn shown(world: &World, service: usize, backend: usize) -> (String, String) {
    let backend = &world.statistics().services[service].backends[backend];
    (backend.state.clone(), backend.check.detail.clone())
}

#[test]
fn backends_that_track_another_have_its_health_and_no_check() {
    let mut world = World::ready(TRACKING);
    assert_eq!(world.control.targets().len(), 2);
    assert_eq!(world.picked(2).len(), 2);
    world.check(A, State::Down);
    assert_eq!(world.picked(2).into_keys().collect::<Vec<_>>(), [3]);
    assert_eq!(
        shown(&world, 1, 0),
        ("down".to_owned(), "as the test says".to_owned())
    );
    assert_eq!(shown(&world, 1, 1).0, "up");
    world.check(A, State::Up);
    world.check(B, State::Down);
    assert_eq!(world.picked(2).into_keys().collect::<Vec<_>>(), [2]);
}

#[test]
fn an_agent_drains_works_on_and_weighs_its_backend() {
    let mut world = World::ready(CONFIG);
    let duty = |duty| Orders {
        duty: Some(duty),
        percent: None,
    };
    world.ordered(A, State::Up, duty(Duty::Drain));
    assert_eq!(world.picked(0), [(B, 5000)].into());
    assert_eq!(shown(&world, 0, 0).0, "drain");
    // What it does not mention stays.
    world.check(A, State::Up);
    assert_eq!(shown(&world, 0, 0).0, "drain");
    world.ordered(A, State::Up, duty(Duty::Maint));
    assert_eq!(shown(&world, 0, 0).0, "maint");
    world.ordered(A, State::Up, duty(Duty::Ready));
    assert_eq!(shown(&world, 0, 0).0, "up");

    let percent = Some(25);
    world.ordered(A, State::Up, Orders { duty: None, percent });
    let share = world.picked(0)[&A];
    assert!((800..1200).contains(&share), "a fifth of 5000, not {share}");
}

#[test]
fn without_allbackups_only_the_first_backup_comes_in() {
    let text = CONFIG
        .replace(
            "table_size = 251\n    backend = [\n        { name = \"a\"",
            "allbackups = false\n    table_size = 251\n    backend = [\n        { name = \"a\"",
        )
        .replace("10.0.0.1:8080\" }", "10.0.0.1:8080\", backup = true }")
        .replace("10.0.0.2:8080\" }", "10.0.0.2:8080\", backup = true }");
    let mut world = World::ready(&text);
    assert_eq!(world.picked(0), [(A, 5000)].into());
    world.check(A, State::Down);
    assert_eq!(world.picked(0), [(B, 5000)].into());
}

#[test]
fn transitions_are_counted() {
    let mut world = World::ready(CONFIG);
    let counted = |world: &World| world.statistics().services[0].backends[0].check.transitions;
    assert_eq!(counted(&world), 1, "it was found up");
    world.check(A, State::Down);
    world.check(A, State::Up);
    assert_eq!(counted(&world), 3);
}

#[test]
fn what_backends_were_is_recalled_where_the_tables_tell_nothing() {
    let mut world = World::ready(CONFIG);
    world.check(A, State::Down);
    let states = world.control.states();
    assert_eq!(states.get("web/a 10.0.0.1:8080"), Some(&State::Down));
    let mut world = World::new(CONFIG);
    world.control.recall(&states);
    let known: BTreeMap<u32, _> = world
        .control
        .targets()
        .into_iter()
        .map(|target| (target.id, target.known))
        .collect();
    assert_eq!((known[&A], known[&B]), (Some(State::Down), Some(State::Up)));
    assert_eq!(world.picked(0), BTreeMap::new(), "nobody gets flows by a memory");
}
