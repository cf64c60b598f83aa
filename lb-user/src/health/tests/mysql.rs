//! Checks of `MySQL` servers: what `MariaDB`, which the lab has, does not do.

use std::{fs, net::SocketAddr};

use tempfile::NamedTempFile;

use super::{
    mysql_server::{Answer, Script, mysql_server},
    *,
};

/// A file with the password of [`Script::default`].
fn password() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), "geheim\n").unwrap();
    file
}

async fn logged_in(address: SocketAddr, more: &str) -> (Outcome, String) {
    let password = password();
    let login = format!("user = \"lb\"\npassword_file = {:?}", password.path());
    result(address, &format!("type = \"mysql\"\n{login}\n{more}")).await
}

#[tokio::test]
async fn mysql_user_by_every_plugin_that_is_known() {
    let (native, sha2) = ("mysql_native_password", "caching_sha2_password");
    for (announced, plugin) in [
        (native, native),
        (sha2, sha2),
        (native, sha2),
        (sha2, native),
        ("other", native),
    ] {
        let script = Script {
            plugin,
            announced,
            ..Script::default()
        };
        let address = mysql_server(script).await;
        assert_eq!(
            logged_in(address, "").await,
            ok("logged in"),
            "{announced} {plugin}"
        );
    }
    let script = Script {
        plugin: "dialog",
        ..Script::default()
    };
    let expected = failed("the user is identified by dialog");
    assert_eq!(logged_in(mysql_server(script).await, "").await, expected);
}

#[tokio::test]
async fn mysql_without_a_user_shakes_hands() {
    let address = mysql_server(Script::default()).await;
    assert_eq!(result(address, "type = \"mysql\"").await, ok("handshake"));
}

/// The secret is in no detail, and nothing that is logged or shown has it.
#[tokio::test]
async fn mysql_wrong_password() {
    let script = Script {
        password: "another",
        ..Script::default()
    };
    let expected = failed("error 1045: Access denied for user");
    assert_eq!(logged_in(mysql_server(script).await, "").await, expected);
    let password = password();
    let check = written(&format!(
        "type = \"mysql\"\nuser = \"lb\"\npassword_file = {:?}",
        password.path()
    ));
    assert!(!format!("{check:?}").contains("geheim"));
}

/// `MySQL` 8 has other columns than `MariaDB`, and several sources; what is older knows other words.
#[tokio::test]
async fn mysql_replication_in_the_words_of_every_version() {
    let columns: &[_] = &[
        "Replica_IO_Running",
        "Replica_SQL_Running",
        "Seconds_Behind_Source",
    ];
    let rows = vec![vec!["Yes", "Yes", "3"], vec!["Yes", "Yes", "7"]];
    let newer = Script {
        answers: vec![("SHOW REPLICA STATUS", Answer::Table(columns, rows))],
        ..Script::default()
    };
    let address = mysql_server(newer).await;
    assert_eq!(
        logged_in(address, "max_lag = \"7s\"").await,
        ok("replica 7 s behind")
    );
    assert_eq!(
        logged_in(address, "max_lag = \"6s\"").await,
        failed("replica 7 s behind")
    );

    let columns: &[_] = &["Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master"];
    let older = Script {
        answers: vec![(
            "SHOW SLAVE STATUS",
            Answer::Table(columns, vec![vec!["Yes", "No", "0"]]),
        )],
        ..Script::default()
    };
    let address = mysql_server(older).await;
    assert_eq!(
        logged_in(address, "replication = true").await,
        failed("replication does not run")
    );
}

#[tokio::test]
async fn mysql_error_instead_of_an_answer() {
    let refusing = Script {
        answers: vec![(
            "SELECT @@global.read_only",
            Answer::Error(1227, "Access denied; you need SUPER"),
        )],
        ..Script::default()
    };
    let expected = failed("error 1227: Access denied; you need SUPER");
    assert_eq!(
        logged_in(mysql_server(refusing).await, "read_only = false").await,
        expected
    );
}

/// A server with this `read_only`, and replication as these values of its columns say, if it is a replica.
async fn server_with(read_only: &'static str, replica: Option<[&'static str; 3]>) -> SocketAddr {
    let columns: &[_] = &["Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master"];
    let rows = replica.into_iter().map(Vec::from).collect();
    mysql_server(Script {
        answers: vec![
            (
                "SELECT @@global.read_only",
                Answer::Table(&["@@global.read_only"], vec![vec![read_only]]),
            ),
            ("SHOW REPLICA STATUS", Answer::Table(columns, rows)),
        ],
        ..Script::default()
    })
    .await
}

#[tokio::test]
async fn mysql_require() {
    let running = Some(["Yes", "Yes", "2"]);
    for (role, read_only, replica, expected) in [
        ("writer", "0", None, ok("writer")),
        ("writer", "OFF", running, ok("writer")),
        ("writer", "1", running, failed("read_only is on")),
        ("replica", "1", running, ok("replica 2 s behind")),
        ("replica", "0", running, failed("read_only is off")),
        ("replica", "1", None, failed("not a replica")),
        ("reader", "0", None, ok("writer")),
        ("reader", "1", running, ok("replica 2 s behind")),
        ("reader", "1", None, failed("not a replica")),
    ] {
        let address = server_with(read_only, replica).await;
        let seen = logged_in(address, &format!("require = \"{role}\"")).await;
        assert_eq!(seen, expected, "{role}, read_only {read_only}, {replica:?}");
    }
}

#[tokio::test]
async fn mysql_read_only() {
    for (wanted, is, expected) in [
        (true, "1", ok("logged in")),
        (true, "0", failed("read_only is off")),
        (false, "1", failed("read_only is on")),
    ] {
        let address = server_with(is, None).await;
        assert_eq!(
            logged_in(address, &format!("read_only = {wanted}")).await,
            expected
        );
    }
}

#[tokio::test]
async fn mysql_replication() {
    for (io, sql, expected) in [
        ("Yes", "Yes", ok("replica 0 s behind")),
        ("Connecting", "Yes", failed("replication does not run")),
        ("Yes", "No", failed("replication does not run")),
    ] {
        let address = server_with("1", Some([io, sql, "0"])).await;
        assert_eq!(logged_in(address, "replication = true").await, expected);
    }
}

#[tokio::test]
async fn mysql_max_lag() {
    for (lag, expected) in [
        ("5", ok("replica 5 s behind")),
        ("6", failed("replica 6 s behind")),
        ("", failed("replica, nobody knows how far behind")),
    ] {
        let address = server_with("1", Some(["Yes", "Yes", lag])).await;
        assert_eq!(logged_in(address, "max_lag = \"5s\"").await, expected);
    }
}
