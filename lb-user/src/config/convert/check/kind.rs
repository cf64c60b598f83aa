//! Types of checks, and which keys each has.

use std::{num::NonZeroU16, ops::Range};

use super::super::value;
use crate::config::{
    error::Fault,
    raw::{self, Text},
    types::Protocol,
};

/// The word in `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Tcp,
    Udp,
    Http,
    Https,
    Mysql,
    Starrocks,
    Agent,
    Exec,
}

use Kind::{Agent, Exec, Http, Https, Mysql, Starrocks, Tcp, Udp};

impl Kind {
    const ALL: &[Self] = &[Self::None, Tcp, Udp, Http, Https, Mysql, Starrocks, Agent, Exec];
    /// Those that a socket is opened for.
    const NETWORK: &[Self] = &[Tcp, Udp, Http, Https, Mysql, Starrocks, Agent];

    /// The type that is written, or what can be asked of any server of the protocol: a UDP server need not answer
    /// anything.
    pub(super) fn of(raw: &raw::Check, protocol: Protocol) -> Result<Self, Fault> {
        let default = match protocol {
            Protocol::Tcp => Tcp,
            Protocol::Udp => Self::None,
        };
        value::word_or(default, "check type", raw.kind.as_ref(), Self::ALL, Self::as_str)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Mysql => "mysql",
            Self::Starrocks => "starrocks",
            Self::Agent => "agent",
            Self::Exec => "exec",
        }
    }

    /// Refuses keys of another type of check.
    pub(super) fn refuse_keys_of_others(self, raw: &raw::Check) -> Result<(), Fault> {
        let strange =
            |(key, span, kinds): OwnKey| Some((key, span?, kinds)).filter(|_| !kinds.contains(&self));
        let Some((key, span, kinds)) = own_keys(raw).into_iter().find_map(strange) else {
            return Ok(());
        };
        let kinds: Vec<String> = kinds
            .iter()
            .map(|kind| format!("\"{}\"", kind.as_str()))
            .collect();
        Err(Fault::within(
            span,
            format!("`{key}` means nothing to a check of type \"{}\"", self.as_str()),
            format!("remove it or set type to {}", kinds.join(" or ")),
        ))
    }

    /// A UDP service's port is a UDP port: a check over TCP has to be told another. So has an agent's check, since an
    /// agent is never the server itself.
    pub(super) fn refuse_portless(
        self,
        raw: &raw::Check,
        port: Option<NonZeroU16>,
        protocol: Protocol,
    ) -> Result<(), Fault> {
        let (Some(written), None) = (&raw.kind, port) else {
            return Ok(());
        };
        let kind = self.as_str();
        match (self, protocol) {
            (Self::Agent, _) => Err(portless(
                written,
                "a check of an agent needs the agent's port",
                "set `port` to the one that the agents listen on",
            )),
            (Tcp | Http | Https | Mysql | Starrocks, Protocol::Udp) => Err(portless(
                written,
                format!("a {kind} check of a udp service needs a TCP port"),
                "set `port` to one that the backends listen on, or type to \"udp\" or \"none\"",
            )),
            (Udp, Protocol::Tcp) => Err(portless(
                written,
                "a udp check of a tcp service needs a UDP port",
                "set `port` to one that the backends listen on, or type to \"tcp\"",
            )),
            (Self::None | Exec | Tcp | Udp | Http | Https | Mysql | Starrocks, _) => Ok(()),
        }
    }
}

fn portless(written: &Text, problem: impl Into<String>, advice: &str) -> Fault {
    Fault::at(written, problem, advice)
}

/// A key that not all types of checks have, where it is written, and which types have it.
type OwnKey = (&'static str, Option<Range<usize>>, &'static [Kind]);

/// The keys that not all types of checks have, where they are written, and which types have them.
fn own_keys(raw: &raw::Check) -> [OwnKey; 26] {
    let http: &[_] = &[Http, Https];
    let who: &[_] = &[Http, Https, Mysql, Starrocks];
    [
        (
            "address",
            value::place(raw.address.as_ref()),
            &[Tcp, Udp, Http, Https, Mysql, Starrocks, Agent, Exec],
        ),
        ("source", value::place(raw.source.as_ref()), Kind::NETWORK),
        ("interface", value::place(raw.interface.as_ref()), Kind::NETWORK),
        ("send", value::place(raw.send.as_ref()), &[Tcp, Udp, Agent]),
        ("expect", value::place(raw.expect.as_ref()), &[Tcp, Udp]),
        ("method", value::place(raw.method.as_ref()), http),
        ("target", value::place(raw.target.as_ref()), http),
        ("version", value::place(raw.version.as_ref()), http),
        ("headers", value::place(raw.headers.as_ref()), http),
        ("request", value::place(raw.request.as_ref()), http),
        ("status", value::place(raw.status.as_ref()), http),
        ("body", value::place(raw.body.as_ref()), http),
        ("verify", value::place(raw.verify.as_ref()), &[Https]),
        ("ca_file", value::place(raw.ca_file.as_ref()), &[Https]),
        ("server_name", value::place(raw.server_name.as_ref()), &[Https]),
        ("user", value::place(raw.user.as_ref()), who),
        ("password_file", value::place(raw.password_file.as_ref()), who),
        ("password_env", value::place(raw.password_env.as_ref()), who),
        ("require", value::place(raw.require.as_ref()), &[Mysql, Starrocks]),
        ("read_only", value::place(raw.read_only.as_ref()), &[Mysql]),
        ("replication", value::place(raw.replication.as_ref()), &[Mysql]),
        ("max_lag", value::place(raw.max_lag.as_ref()), &[Mysql]),
        ("http_port", value::place(raw.http_port.as_ref()), &[Starrocks]),
        ("node", value::place(raw.node.as_ref()), &[Starrocks]),
        ("command", value::place(raw.command.as_ref()), &[Exec]),
        ("env", value::place(raw.env.as_ref()), &[Exec]),
    ]
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const DOCUMENT: &str = include_str!("../../../../../docs/checks.md");

    /// The words in backticks of a table's cell.
    fn words(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    /// The document's tables with a test in their last column: each row's cells.
    fn rows() -> Vec<Vec<&'static str>> {
        let tables = DOCUMENT.split("\n\n").filter(|block| {
            block
                .lines()
                .next()
                .is_some_and(|head| head.ends_with("| test |"))
        });
        let rows = tables.flat_map(|table| table.lines().skip(2));
        rows.map(|row| row.trim_matches('|').split(" | ").collect())
            .collect()
    }

    #[test]
    fn every_key_of_every_type_is_in_the_document() {
        let rows = rows();
        for (key, _, kinds) in own_keys(&raw::Check::default()) {
            if kinds.len() > 5 {
                // Of all types that ask over the network: in the table of what they have in common.
                assert!(rows.iter().any(|row| words(row[0]).contains(&key)), "{key}");
                continue;
            }
            for kind in kinds {
                let is_told =
                    |row: &Vec<&str>| words(row[0]).contains(&kind.as_str()) && words(row[1]).contains(&key);
                assert!(rows.iter().any(is_told), "{key} of type {}", kind.as_str());
            }
        }
        for kind in Kind::ALL {
            assert!(
                rows.iter().any(|row| words(row[0]).contains(&kind.as_str())),
                "{}",
                kind.as_str()
            );
        }
    }

    #[test]
    fn every_test_that_the_document_names_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = [
            "src/health/tests",
            "src/control/tests",
            "../tests/tests/end_to_end/health",
        ];
        let files = folders
            .iter()
            .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
        let source: String = files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        let named: Vec<&str> = rows().iter().flat_map(|row| words(row.last().unwrap())).collect();
        assert!(named.len() > 50, "{} were read", named.len());
        for name in named {
            assert!(source.contains(&format!("fn {name}(")), "there is no test {name}");
        }
    }
}
