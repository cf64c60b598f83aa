//! Good configurations and what they become; broken ones and what is said of them (`broken`); and any text at all.

mod broken;
mod checks;
mod good;
mod packet_path;

use std::path::Path;

use proptest::prelude::*;

use super::parse;

/// Every key there is but those of `packet_path::EXAMPLE`; the rows of `broken.txt` each change one thing in it.
const FULL: &str = r#"[global]
interfaces = ["eth0", "eth1"]
dataplane = "xdp"
snat_addresses = ["10.0.0.2", "fd00::2"]
snat_ports = "2000-2999"
max_flows = 1000
state_dir = "/var/lib/other"
socket = "/run/other.sock"

[stats]
bind = "127.0.0.1:1080"
uri = "/lb/stats"
hide_version = true
realm = "Staging"

[[service]]
name = "fe"
bind = ["10.0.0.100:9030", "[fd00::100]:9030"]
protocol = "tcp"
mode = "full-nat"
scheduler = "maglev"
idle_timeout = "2h"
table_size = 251
[service.check]
type = "http"
inter = "5s"
rise = 4
fall = 5
timeout = "500ms"
port = 8030
method = "HEAD"
target = "/health?full=1"
headers = ["Host: fe.example", "X-Check:1"]
status = "200-299"
[[service.backend]]
name = "node1"
address = "10.0.0.80:9030"
weight = 256
[[service.backend]]
name = "node2"
address = "[fd00::80]:9030"

[[service]]
name = "dns"
bind = ["10.0.0.100:53"]
protocol = "udp"
[[service.backend]]
name = "node1"
address = "10.0.0.80:53"
"#;

/// `FULL` with one thing changed.
fn changed(from: &str, to: &str) -> String {
    changed_in(FULL, from, to)
}

fn changed_in(example: &str, from: &str, to: &str) -> String {
    assert_eq!(
        example.matches(from).count(),
        1,
        "{from:?} must stand once in the example"
    );
    example.replace(from, to)
}

/// What is said of a broken configuration, without the name of the file.
fn complaint(text: &str) -> String {
    let error = parse(text, Path::new("lb.toml"))
        .expect_err("it should be refused")
        .to_string();
    error
        .strip_prefix("lb.toml:")
        .expect("errors begin with the file")
        .to_owned()
}

/// Texts made of the pieces that configurations are made of, and of anything else.
fn any_text() -> impl Strategy<Value = String> {
    let pieces: Vec<String> = [FULL, packet_path::EXAMPLE, checks::EXAMPLE]
        .concat()
        .split_inclusive(['\n', ' ', '"'])
        .map(str::to_owned)
        .collect();
    let piece = prop_oneof![8 => prop::sample::select(pieces), 1 => any::<String>(), 1 => "[\\[\\]{}=\"'\n0-9.-]{1,4}"];
    prop_oneof![
        1 => any::<String>(),
        3 => prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat()),
    ]
}

/// An example with a stretch of it replaced: close enough to right to reach the late checks.
fn damaged(example: &'static str) -> impl Strategy<Value = String> {
    (0..example.len(), 0..40_usize, any_text()).prop_map(move |(start, length, text)| {
        let end = (start + length).min(example.len());
        format!("{}{text}{}", &example[..start], &example[end..])
    })
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_in_one_line(text in prop_oneof![any_text(), damaged(FULL), damaged(packet_path::EXAMPLE), damaged(checks::EXAMPLE)]) {
        if let Err(error) = parse(&text, Path::new("f")) {
            let line = error.to_string();
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            let place: Vec<&str> = line.splitn(4, ':').collect();
            prop_assert!(matches!(place[..], ["f", line, column, _]
                if line.parse::<usize>().is_ok_and(|line| line <= text.matches('\n').count() + 1)
                && column.parse::<usize>().is_ok()), "{line:?}");
        }
    }
}
