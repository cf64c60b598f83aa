//! Checks of every type, and what backends have different.

use std::{sync::Arc, time::Duration};

use super::{
    good::{checked, parsed},
    *,
};
use crate::config::types::{CheckKind, Health, MysqlRole, OnError, Secret, StarrocksRole};

/// Every key of a check; the rows of `broken_checks.txt` each change one thing in it.
pub(super) const EXAMPLE: &str = r#"
[[service]]
name = "writer"
bind = ["10.0.0.100:3306"]
allbackups = false
slowstart = "30s"
[service.check]
type = "mysql"
inter = "3s"
fastinter = "1s"
downinter = "10s"
source = "10.0.0.5"
interface = "eth1"
max_flaps = 3
flap_window = "2m"
observe = "layer4"
error_limit = 5
on_error = "mark-down"
user = "lb"
password_file = "/etc/ballast/mysql"
require = "writer"
[[service.backend]]
name = "db1"
address = "10.0.0.80:3306"
[[service.backend]]
name = "db2"
address = "10.0.0.81:3306"
slowstart = "5s"
check = { inter = "4s", port = 3307, address = "10.0.1.81" }

[[service]]
name = "reader"
bind = ["10.0.0.101:3306"]
check = { type = "mysql", user = "lb", password_env = "LB_PASSWORD", read_only = true, replication = true, max_lag = "9s" }
[[service.backend]]
name = "db1"
address = "10.0.0.80:3306"

[[service]]
name = "fe"
bind = ["10.0.0.100:9030"]
check = { type = "starrocks", user = "lb", require = "leader", http_port = 8031 }
[[service.backend]]
name = "fe1"
address = "10.0.0.80:9030"
check = { node = "fe1.example" }

[[service]]
name = "api"
bind = ["10.0.0.100:443"]
[service.check]
type = "https"
request = 'OPTIONS * HTTP/1.1\r\nHost:\ www'
body = "UP"
ca_file = "/etc/ballast/ca.pem"
server_name = "api.example"
[[service.backend]]
name = "api1"
address = "10.0.0.80:443"
[[service.backend]]
name = "api2"
address = "10.0.0.81:443"
check = { type = "agent", port = 9999, send = "?\n" }

[[service]]
name = "script"
bind = ["10.0.0.100:8000"]
check = { type = "exec", command = ["/usr/local/bin/check", "--fast"], env = { MODE = "quick" } }
[[service.backend]]
name = "s1"
address = "10.0.0.80:8000"

[[service]]
name = "log"
bind = ["10.0.0.100:514"]
protocol = "udp"
check = { type = "udp", send = { hex = "00 ff" }, expect = "ok" }
[[service.backend]]
name = "l1"
address = "10.0.0.80:514"

[[service]]
name = "same"
bind = ["10.0.0.102:3306"]
check = { track = "writer" }
[[service.backend]]
name = "db1"
address = "10.0.0.80:3306"
[[service.backend]]
name = "other"
address = "10.0.0.81:3306"
check = { track = "writer/db2" }
"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_common_word_arrives() {
    let config = parsed(EXAMPLE);
    let check = checked(&config, 0, 0);
    assert_eq!(
        [check.inter, check.fastinter, check.downinter],
        [seconds(3), seconds(1), seconds(10)]
    );
    let source = &check.source;
    assert_eq!(source.address, "10.0.0.5".parse().ok());
    assert_eq!(source.interface.as_deref(), Some("eth1"));
    let flaps = check.flaps.expect("a limit");
    assert_eq!((flaps.most.get(), flaps.window), (3, seconds(120)));
    let observe = check.observe.expect("observed");
    assert_eq!(
        (observe.error_limit.get(), observe.on_error),
        (5, OnError::MarkDown)
    );
    assert!(!config.services[0].allbackups);
    let slowstarts = config.services[0]
        .backends
        .iter()
        .map(|backend| backend.slowstart);
    assert_eq!(slowstarts.collect::<Vec<_>>(), [seconds(30), seconds(5)]);
}

#[test]
fn max_flaps_0_is_no_limit() {
    let config = parsed(&changed_in(EXAMPLE, "max_flaps = 3", "max_flaps = 0"));
    assert_eq!(checked(&config, 0, 0).flaps, None);
}

#[test]
fn a_backend_s_own_words_go_before_its_service_s() {
    let config = parsed(EXAMPLE);
    let (usual, own) = (checked(&config, 0, 0), checked(&config, 0, 1));
    assert_eq!((own.inter, own.port.map(u16::from)), (seconds(4), Some(3307)));
    assert_eq!(own.address, "10.0.1.81".parse().ok());
    assert_eq!((&own.kind, own.fastinter), (&usual.kind, usual.fastinter));
    assert!(matches!(&checked(&config, 3, 1).kind, CheckKind::Agent(agent) if agent.send == b"?\n"));
}

/// As thousands of them would each need memory.
#[test]
fn backends_without_words_of_their_own_share_a_check() {
    let more = "address = \"10.0.0.80:3306\"\n[[service.backend]]\nname = \"db3\"\naddress = \"10.0.0.83:3306\"\n\
                [[service.backend]]\nname = \"db2\"";
    let from = "address = \"10.0.0.80:3306\"\n[[service.backend]]\nname = \"db2\"";
    let config = parsed(&changed_in(EXAMPLE, from, more));
    assert!(Arc::ptr_eq(&checked(&config, 0, 0), &checked(&config, 0, 1)));
}

#[test]
fn databases_arrive() {
    let config = parsed(EXAMPLE);
    let CheckKind::Mysql(writer) = &checked(&config, 0, 0).kind else {
        panic!("type mysql")
    };
    assert_eq!(writer.conditions.role, Some(MysqlRole::Writer));
    let login = writer.login.as_ref().expect("a login");
    assert_eq!(login.password, Some(Secret::File("/etc/ballast/mysql".into())));
    let CheckKind::Mysql(reader) = &checked(&config, 1, 0).kind else {
        panic!("type mysql")
    };
    let conditions = &reader.conditions;
    assert_eq!((conditions.read_only, conditions.replication), (Some(true), true));
    assert_eq!((conditions.max_lag, conditions.role), (Some(seconds(9)), None));
    let CheckKind::Starrocks(fe) = &checked(&config, 2, 0).kind else {
        panic!("type starrocks")
    };
    assert_eq!((fe.role, fe.http_port.get()), (Some(StarrocksRole::Leader), 8031));
    assert_eq!(fe.node.as_deref(), Some("fe1.example"));
}

#[test]
fn the_others_arrive() {
    let config = parsed(EXAMPLE);
    let CheckKind::Http(https) = &checked(&config, 3, 0).kind else {
        panic!("type https")
    };
    assert_eq!((https.method.as_str(), https.target.as_str()), ("OPTIONS", "*"));
    assert_eq!(https.headers, [("Host".to_owned(), "www".to_owned())]);
    let tls = https.tls.as_ref().expect("TLS");
    assert!(tls.verify && tls.server_name.as_deref() == Some("api.example"));
    let CheckKind::Exec(exec) = &checked(&config, 4, 0).kind else {
        panic!("type exec")
    };
    assert_eq!(exec.command, ["/usr/local/bin/check", "--fast"]);
    assert_eq!(exec.environment, [("MODE".to_owned(), "quick".to_owned())]);
    let CheckKind::Udp(udp) = &checked(&config, 5, 0).kind else {
        panic!("type udp")
    };
    assert_eq!(
        (udp.send.as_slice(), udp.expect.as_slice()),
        ([0, 0xff].as_slice(), b"ok".as_slice())
    );
}

#[test]
fn backends_track_those_of_the_same_name_or_of_another() {
    let config = parsed(EXAMPLE);
    let tracked: Vec<String> = config.services[6]
        .backends
        .iter()
        .map(|backend| match &backend.health {
            Health::Tracked { service, backend } => format!("{service}/{backend}"),
            Health::Checked(check) => format!("{check:?}"),
        })
        .collect();
    assert_eq!(tracked, ["writer/db1", "writer/db2"]);
}
