//! What differs between two configurations, in lines for people; and what cannot change while packets are forwarded.

use std::collections::BTreeMap;

use super::{
    Config,
    types::{Backend, Service},
};

/// The differences, one line each: `+` added, `-` removed, `~` changed.
#[must_use]
pub fn lines(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if old.global != new.global {
        lines.push("~ [global]".to_owned());
    }
    if old.stats != new.stats {
        lines.push("~ [stats]".to_owned());
    }
    if old.flow_log != new.flow_log {
        lines.push("~ [flow_log]".to_owned());
    }
    let (old, new) = (by_name(old), by_name(new));
    for (name, service) in &old {
        match new.get(name) {
            None => lines.push(format!("- service {name}")),
            Some(changed) => of_service(service, changed, &mut lines),
        }
    }
    let added = new.keys().filter(|name| !old.contains_key(*name));
    lines.extend(added.map(|name| format!("+ service {name}")));
    lines
}

/// The first key whose change takes another start of the daemon.
#[must_use]
pub fn fixed(old: &Config, new: &Config) -> Option<&'static str> {
    let (before, after) = (&old.global, &new.global);
    [
        ("`interfaces`", before.interfaces != after.interfaces),
        ("`dataplane`", before.dataplane != after.dataplane),
        ("`max_flows`", before.max_flows != after.max_flows),
        ("`state_dir`", before.state_dir != after.state_dir),
        ("`socket`", before.socket != after.socket),
        ("`socket_group`", before.socket_group != after.socket_group),
        ("[stats]", old.stats != new.stats),
        // What counts each flow has its room from the start.
        (
            "whether there is a [flow_log]",
            old.flow_log.is_some() != new.flow_log.is_some(),
        ),
    ]
    .into_iter()
    .find_map(|(key, differs)| differs.then_some(key))
}

fn of_service(old: &Service, new: &Service, lines: &mut Vec<String>) {
    let name = &old.name;
    let bare = |service: &Service| Service {
        backends: Vec::new(),
        ..service.clone()
    };
    if bare(old) != bare(new) {
        lines.push(format!("~ service {name}"));
    }
    for backend in &old.backends {
        match new.backends.iter().find(|other| other.name == backend.name) {
            None => lines.push(format!("- backend {name}/{}", backend.name)),
            Some(changed) if changed != backend => {
                lines.push(format!(
                    "~ backend {name}/{}: {}",
                    backend.name,
                    told_change(backend, changed)
                ));
            }
            Some(_) => {}
        }
    }
    let is_new = |backend: &&Backend| old.backends.iter().all(|other| other.name != backend.name);
    let added = new.backends.iter().filter(is_new);
    lines.extend(added.map(|backend| format!("+ backend {name}/{}: {}", backend.name, told(backend))));
}

/// What is different with a backend. A check has too many keys to name them all.
fn told_change(before: &Backend, after: &Backend) -> String {
    let check = (before.health != after.health).then_some("check");
    let (before, after) = (told(before), told(after));
    let rest = (before != after).then(|| format!("{before} → {after}"));
    let parts: Vec<&str> = rest.as_deref().into_iter().chain(check).collect();
    parts.join(", ")
}

/// All that can be said of a backend but how it is checked.
fn told(backend: &Backend) -> String {
    let Backend {
        name: _,
        address,
        weight,
        maxconn,
        backup,
        state,
        slowstart,
        health: _,
    } = backend;
    let maxconn = maxconn.map(|maxconn| format!(" maxconn {maxconn}"));
    let backup = if *backup { " backup" } else { "" };
    let slowstart = (!slowstart.is_zero()).then(|| format!(" slowstart {slowstart:?}"));
    format!(
        "{address} {state} weight {weight}{}{backup}{}",
        maxconn.unwrap_or_default(),
        slowstart.unwrap_or_default()
    )
}

fn by_name(config: &Config) -> BTreeMap<&str, &Service> {
    let services = config.services.iter();
    services.map(|service| (service.name.as_str(), service)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const OLD: &str = r#"
        [[service]]
        name = "fe"
        bind = ["10.0.0.100:9030"]
        backend = [
            { name = "a", address = "10.0.0.1:9030" },
            { name = "b", address = "10.0.0.2:9030", weight = 50 },
        ]
        [[service]]
        name = "old"
        bind = ["10.0.0.100:80"]
        backend = [{ name = "a", address = "10.0.0.1:80" }]
    "#;

    fn changed(from: &str, to: &str) -> (Config, Config) {
        let parse = |text: &str| config::parse(text, Path::new("test.toml")).expect("a configuration");
        (parse(OLD), parse(&OLD.replacen(from, to, 1)))
    }

    #[test]
    fn each_difference_has_a_line() {
        for (from, to, line) in [
            (
                "weight = 50",
                "weight = 70, maxconn = 9",
                "~ backend fe/b: 10.0.0.2:9030 ready weight 50 → 10.0.0.2:9030 ready weight 70 maxconn 9",
            ),
            (
                "weight = 50",
                "weight = 50, state = \"drain\"",
                "~ backend fe/b: 10.0.0.2:9030 ready weight 50 → 10.0.0.2:9030 drain weight 50",
            ),
            (
                "weight = 50",
                "weight = 50, slowstart = \"20s\", check = { inter = \"9s\" }",
                "~ backend fe/b: 10.0.0.2:9030 ready weight 50 → 10.0.0.2:9030 ready weight 50 slowstart 20s, check",
            ),
            (
                "weight = 50",
                "weight = 50, check = { inter = \"9s\" }",
                "~ backend fe/b: check",
            ),
            (
                "name = \"old\"",
                "name = \"old\"\nscheduler = \"source\"",
                "~ service old",
            ),
            (
                "[[service]]",
                "[global]\nicmp_echo = false\n[[service]]",
                "~ [global]",
            ),
        ] {
            let (old, new) = changed(from, to);
            assert_eq!(lines(&old, &new), [line]);
            assert_eq!(fixed(&old, &new), None);
        }
        let (old, new) = changed("\"old\"", "\"new\"");
        assert_eq!(lines(&old, &new), ["- service old", "+ service new"]);
        let (old, new) = changed("name = \"b\"", "name = \"c\"");
        assert_eq!(
            lines(&old, &new),
            ["- backend fe/b", "+ backend fe/c: 10.0.0.2:9030 ready weight 50"]
        );
        assert!(lines(&old, &old).is_empty());
    }

    #[test]
    fn what_only_a_start_reads_is_named() {
        let (old, new) = changed("[[service]]", "[global]\nmax_flows = 77\n[[service]]");
        assert_eq!(fixed(&old, &new), Some("`max_flows`"));
        let log = |to: &str| format!("[flow_log]\nto = \"{to}\"\n[[service]]");
        let (none, one) = changed("[[service]]", &log("stdout"));
        assert_eq!(fixed(&none, &one), Some("whether there is a [flow_log]"));
        let (_, other) = changed("[[service]]", &log("/var/log/flows"));
        assert_eq!(
            (fixed(&one, &other), lines(&one, &other)),
            (None, vec!["~ [flow_log]".to_owned()])
        );
    }
}
