//! Files and changes as an operator meets them.

use std::fs;

use tempfile::TempDir;

use super::*;

/// With comments, an order of its own, and both ways to write lists.
const FILE: &str = r#"# The cluster's balancer.
[global]
interfaces = ["eth0"]   # towards everybody
state_dir = "STATE"

[[service]]             # the front ends
name = "fe"
bind = ["10.0.0.100:9030"]

[[service.backend]]
name = "node1"          # rack 1
address = "10.0.0.80:9030"
weight = 100            # until June

[[service.backend]]
name = "node2"
address = "10.0.0.81:9030"

[[service]]
name = "web"
bind = ["10.0.0.100:80"]
backend = [
    { name = "a", address = "10.0.0.1:80" }, # old
    { name = "b", address = "10.0.0.2:80" },
]
"#;

struct Place {
    directory: TempDir,
    source: Source,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Self {
            source: Source {
                file: directory.path().join("ballast.toml"),
                dataplane: None,
                interfaces: Vec::new(),
            },
            directory,
        };
        place.write(FILE);
        place
    }

    fn write(&self, text: &str) {
        let state = self.directory.path().join("state");
        let text = text.replace("STATE", state.to_str().expect("UTF-8"));
        fs::write(&self.source.file, text).expect("a file");
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.source.file).expect("a file")
    }

    fn runtime(&self) -> Runtime {
        Runtime::start(self.source.clone()).expect("a configuration").0
    }
}

fn state(service: &str, backend: &str, state: Admin) -> Change {
    Change::State {
        service: service.to_owned(),
        backend: backend.to_owned(),
        state,
    }
}

fn weight(service: &str, backend: &str, weight: u16) -> Change {
    Change::Weight {
        service: service.to_owned(),
        backend: backend.to_owned(),
        weight,
    }
}

fn every_kind() -> Vec<Change> {
    vec![
        state("fe", "node1", Admin::Drain),
        weight("fe", "node1", 50),
        weight("web", "b", 7),
        Change::AddBackend {
            service: "fe".to_owned(),
            backend: "node3".to_owned(),
            address: "10.0.0.82:9030".parse().expect("an address"),
            weight: Some(20),
            backup: true,
        },
        Change::AddBackend {
            service: "web".to_owned(),
            backend: "c".to_owned(),
            address: "10.0.0.3:80".parse().expect("an address"),
            weight: None,
            backup: false,
        },
        Change::RemoveBackend {
            service: "web".to_owned(),
            backend: "a".to_owned(),
        },
        Change::AddService {
            service: "db".to_owned(),
            toml: "[[service]]\nname = \"db\"\nbind = [\"10.0.0.100:3306\"]\n[[service.backend]]\nname = \"x\"\naddress = \
                   \"10.0.0.9:3306\"\n"
                .to_owned(),
        },
    ]
}

#[test]
fn what_is_saved_is_what_ran_and_comments_and_order_are_kept() {
    let place = Place::new();
    let mut runtime = place.runtime();
    for change in every_kind() {
        runtime = runtime.changed(change);
    }
    let ran = runtime.config().expect("a configuration");
    runtime.save().expect("a file that can be written");
    let text = place.text();
    assert_eq!(place.source.load().expect("a good file"), ran, "{text}");
    for comment in [
        "# The cluster's balancer.",
        "# towards everybody",
        "# the front ends",
        "# rack 1",
        "# until June",
    ] {
        assert!(text.contains(comment), "{comment} is gone:\n{text}");
    }
    let places = [
        "name = \"fe\"",
        "\"node1\"",
        "\"node2\"",
        "\"node3\"",
        "\"web\"",
        "\"b\"",
        "\"c\"",
        "\"db\"",
        "\"x\"",
    ];
    let order: Vec<_> = places
        .iter()
        .map(|place| text.find(place).expect("it is there"))
        .collect();
    assert!(order.is_sorted(), "{order:?}\n{text}");
    assert!(text.contains("weight = 50            # until June"), "{text}");
    assert_eq!(
        runtime.difference().expect("a text"),
        "",
        "nothing is left to be saved"
    );
}

#[test]
fn a_difference_is_what_saving_would_change() {
    let place = Place::new();
    let runtime = place.runtime().changed(weight("fe", "node1", 50));
    let difference = runtime.difference().expect("a text");
    let changed: Vec<_> = difference
        .lines()
        .filter(|line| line.starts_with(['-', '+']))
        .skip(2)
        .collect();
    assert_eq!(
        changed,
        [
            "-weight = 100            # until June",
            "+weight = 50            # until June"
        ]
    );
}

#[test]
fn changes_outlive_the_daemon_and_a_new_file() {
    let place = Place::new();
    let runtime = place
        .runtime()
        .changed(state("fe", "node2", Admin::Maint))
        .changed(weight("web", "a", 9));
    let ran = runtime.config().expect("a configuration");
    runtime.keep(&ran.global.state_dir);
    assert_eq!(
        place.runtime().config().expect("a configuration"),
        ran,
        "after a restart"
    );

    place.write(&FILE.replace("{ name = \"a\", address = \"10.0.0.1:80\" },", ""));
    let (reloaded, left_out) = place.runtime().reloaded().expect("a good file");
    assert_eq!(reloaded.changes(), [state("fe", "node2", Admin::Maint)]);
    assert!(left_out.is_empty(), "the start has left it out before");
    let (_, left_out) = runtime.reloaded().expect("a good file");
    assert_eq!(left_out, [weight("web", "a", 9)]);
    let back = runtime.rolled_back().config().expect("a configuration");
    assert_eq!(back.services[0].backends[1].state, Admin::Ready);
}

#[test]
fn the_last_word_on_a_backend_counts() {
    let place = Place::new();
    let runtime = [Admin::Drain, Admin::Maint, Admin::Ready]
        .into_iter()
        .fold(place.runtime(), |runtime, word| {
            runtime.changed(state("fe", "node1", word))
        });
    assert_eq!(runtime.changes(), [state("fe", "node1", Admin::Ready)]);
    assert_eq!(runtime.difference().expect("a text"), "");
}

#[test]
fn what_cannot_be_is_refused_in_a_line_that_says_why() {
    let place = Place::new();
    let add = |toml: &str| Change::AddService {
        service: "db".to_owned(),
        toml: toml.to_owned(),
    };
    for (change, why) in [
        (weight("fe", "node9", 1), "there is no backend `fe/node9`"),
        (weight("db", "a", 1), "there is no service `db`"),
        (weight("fe", "node1", 300), "weight 300 is out of range"),
        (add("[global]"), "write [[service]]"),
        (add("[[service]]\nname = \"x\""), "its `name` is another one"),
        (
            add(
                "[[service]]\nname = \"db\"\nbind = [\"10.0.0.100:80\"]\nbackend = [{ name = \"a\", address = \"10.0.0.1:1\" }]",
            ),
            "10.0.0.100:80",
        ),
        (add("service = ["), "not one [[service]]"),
    ] {
        let refused = place
            .runtime()
            .changed(change)
            .config()
            .expect_err("it cannot be")
            .to_string();
        assert!(refused.contains(why) && !refused.contains('\n'), "{refused}");
    }
}

#[test]
fn a_broken_file_says_where_and_one_that_somebody_wrote_is_not_overwritten() {
    let place = Place::new();
    let mut runtime = place.runtime().changed(weight("fe", "node1", 50));
    place.write(&FILE.replace("weight = 100", "weight = 1000"));
    let refused = runtime.reloaded().expect_err("a broken file").to_string();
    assert!(
        refused.contains("ballast.toml:13:10: weight 1000 is out of range"),
        "{refused}"
    );
    let refused = runtime.save().expect_err("somebody has written").to_string();
    assert!(refused.contains("has changed since it was loaded"), "{refused}");
    assert!(place.text().contains("weight = 1000"), "and is not overwritten");
}

#[test]
fn the_journal_has_the_latest_last() {
    let place = Place::new();
    let journal = Journal::of(&place.directory.path().join("state"));
    assert!(journal.last(5).expect("none is no error").is_empty());
    for number in 0..4 {
        journal.note("root", &format!("change {number}"));
    }
    let last: Vec<_> = journal
        .last(2)
        .expect("a journal")
        .into_iter()
        .map(|entry| entry.what)
        .collect();
    assert_eq!(last, ["change 2", "change 3"]);
}
