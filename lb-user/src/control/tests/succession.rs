//! A configuration in the place of another, while packets are forwarded.

use std::sync::Arc;

use super::{health::TRACKING, *};
use crate::health::{Duty, Vip};

/// The row that is free when the configuration is laid out.
const NEW: u32 = 5;

#[test]
fn what_stays_goes_on_and_what_is_new_waits_for_its_check() {
    let mut world = World::ready(CONFIG);
    world.succeed(&CONFIG.replace(
        "{ name = \"b\", address = \"10.0.0.2:8080\" }",
        "{ name = \"c\", address = \"10.0.0.3:8080\" }",
    ));
    assert_eq!(
        world.picked(0),
        [(A, 5000)].into(),
        "at once, and without a check"
    );
    let record = &world.heap.memory().backends[B as usize];
    assert_ne!(record.service.load(), 0, "a packet may still be on its way by it");
    world.resolve(&[("10.0.0.3".parse().unwrap(), Ok(next_hop(3)))].into());
    assert_eq!(world.picked(0).len(), 1);
    world.check(NEW, State::Up);
    assert_eq!(world.picked(0).into_keys().collect::<Vec<_>>(), [A, NEW]);
}

#[test]
fn what_is_down_stays_down_and_weights_count_at_once() {
    let mut world = World::ready(CONFIG);
    world.check(B, State::Down);
    world.succeed(&CONFIG.replace("weight = 0", "weight = 100"));
    let picked = world.picked(0);
    assert_eq!(
        picked.keys().copied().collect::<Vec<_>>(),
        [A, IDLE],
        "{picked:?}"
    );
}

#[test]
fn what_was_maintained_is_checked_before_it_takes_flows_again() {
    let mut world = World::ready(CONFIG);
    let maintained = CONFIG.replace("10.0.0.2:8080\"", "10.0.0.2:8080\", state = \"maint\"");
    world.succeed(&maintained);
    assert_eq!(world.picked(0), [(A, 5000)].into());
    let targets = world.control.targets();
    assert!(targets.iter().all(|target| target.id != B), "it is not checked");
    world.succeed(CONFIG);
    assert_eq!(world.picked(0), [(A, 5000)].into());
    world.check(B, State::Up);
    assert_eq!(world.picked(0).len(), 2);
}

#[test]
fn what_others_track_is_checked_for_them_while_it_is_maintained() {
    let mut world = World::ready(TRACKING);
    world.succeed(&TRACKING.replace("10.0.0.2:8080\"", "10.0.0.2:8080\", state = \"maint\""));
    assert_eq!(world.picked(0), [(A, 5000)].into());
    assert_eq!(world.picked(2).len(), 2, "who tracks it is as it was");
    assert_eq!(world.control.targets().len(), 2);
    world.check(B, State::Down);
    assert_eq!(world.picked(2).into_keys().collect::<Vec<_>>(), [2]);
}

#[test]
fn an_agent_that_is_asked_no_more_has_no_say() {
    let mut world = World::ready(CONFIG);
    let drain = Orders {
        duty: Some(Duty::Drain),
        percent: None,
    };
    world.ordered(A, State::Up, drain);
    world.succeed(&CONFIG.replace("weight = 0", "weight = 1"));
    assert!(!world.picked(0).contains_key(&A), "its check is the same");
    let other = "10.0.0.1:8080\", check = { inter = \"9s\" }";
    world.succeed(&CONFIG.replace("10.0.0.1:8080\"", other));
    assert!(world.picked(0).contains_key(&A));
}

#[test]
fn a_check_of_a_service_s_own_address_stays_as_long_as_the_addresses_do() {
    let text = CONFIG.replace(":8080", ":80").replacen(
        "table_size = 251",
        "mode = \"dsr\"\n    check = { vip = true }\n    table_size = 251",
        1,
    );
    let mut world = World::ready(&text);
    let vip = |world: &World| -> Arc<Vip> {
        let targets = world.control.targets();
        let target = targets.into_iter().find(|target| target.id == A);
        target.and_then(|target| target.vip).unwrap()
    };
    let first = vip(&world);
    world.succeed(&text.replace("weight = 0", "weight = 1"));
    assert!(Arc::ptr_eq(&first, &vip(&world)));
    world.succeed(&text.replace("192.0.2.1:80\"", "192.0.2.1:80\", \"192.0.2.7:80\""));
    let second = vip(&world);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(second.has_way(), "nobody would tell it again");
}

#[test]
fn a_plan_that_does_not_fit_changes_nothing() {
    let world = World::ready(CONFIG);
    let before = world.picked(0);
    let backend = |port: u16| format!("{{ name = \"n{port}\", address = \"10.2.0.1:{port}\" }},");
    let backends = (1000..1100).map(backend).collect::<Vec<_>>().concat();
    let crowd = CONFIG.replace("{ name = \"a\", address = \"10.0.0.1:3306\" }", &backends);
    let config = config::parse(&crowd, Path::new("test.toml")).unwrap();
    let refused = world.control.succeed(config, &world.heap.memory());
    assert!(refused.is_err(), "there are no rows for so many");
    assert_eq!(world.picked(0), before);
}
