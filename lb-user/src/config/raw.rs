//! The configuration as it is written: TOML's tables and values, each with its place in the text.
//!
//! Nothing here has been checked beyond its key and its type.

mod check;

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

pub(super) use check::{Bytes, Check, Statuses, Variables};

/// A text with its place.
pub(super) type Text = Spanned<String>;
/// A whole number with its place; ranges are checked later, so that the error can name them.
pub(super) type Number = Spanned<i64>;
/// Yes or no, with its place.
pub(super) type Flag = Spanned<bool>;
/// Networks, each with its place.
pub(super) type Networks = Spanned<Vec<Text>>;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) global: Table<Global>,
    pub(super) stats: Option<Table<Stats>>,
    #[serde(default)]
    pub(super) service: Vec<Spanned<Table<Service>>>,
}

/// `[global]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Global {
    #[serde(default)]
    pub(super) interfaces: Vec<Text>,
    pub(super) dataplane: Option<Text>,
    #[serde(default)]
    pub(super) snat_addresses: Vec<Text>,
    pub(super) snat_ports: Option<Text>,
    pub(super) max_flows: Option<Number>,
    pub(super) icmp_echo: Option<Flag>,
    pub(super) allow: Option<Networks>,
    pub(super) deny: Option<Networks>,
    pub(super) state_dir: Option<Text>,
    pub(super) socket: Option<Text>,
    pub(super) socket_group: Option<Text>,
}

/// `[stats]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stats {
    pub(super) bind: Text,
    pub(super) uri: Option<Text>,
    #[serde(default)]
    pub(super) hide_version: bool,
    pub(super) realm: Option<Text>,
    #[serde(default)]
    pub(super) users: Vec<Spanned<Table<User>>>,
    pub(super) certificate: Option<Text>,
    pub(super) private_key: Option<Text>,
}

/// One of `users` in `[stats]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) name: Text,
    pub(super) password_hash: Text,
    pub(super) role: Option<Text>,
}

/// `[[service]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Text,
    pub(super) bind: Spanned<Vec<Text>>,
    pub(super) protocol: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) encapsulation: Option<Text>,
    pub(super) gue_port: Option<Number>,
    pub(super) scheduler: Option<Text>,
    pub(super) idle_timeout: Option<Spanned<Interval>>,
    pub(super) connect_timeout: Option<Spanned<Interval>>,
    pub(super) close_timeout: Option<Spanned<Interval>>,
    pub(super) drain_timeout: Option<Spanned<Interval>>,
    pub(super) maxconn: Option<Number>,
    pub(super) on_down: Option<Text>,
    pub(super) retries: Option<Number>,
    pub(super) hide_refused: Option<Flag>,
    pub(super) syn_cookies: Option<Text>,
    pub(super) verify_checksums: Option<Flag>,
    pub(super) allow: Option<Networks>,
    pub(super) deny: Option<Networks>,
    pub(super) table_size: Option<Number>,
    pub(super) limits: Option<Spanned<Table<Limits>>>,
    pub(super) allbackups: Option<Flag>,
    pub(super) slowstart: Option<Spanned<Interval>>,
    pub(super) check: Option<Spanned<Table<Check>>>,
    #[serde(default)]
    pub(super) backend: Vec<Spanned<Table<Backend>>>,
}

/// `[service.limits]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) new_flows_per_second: Option<Number>,
    pub(super) active_flows: Option<Number>,
    pub(super) packets_per_second: Option<Number>,
}

/// `[[service.backend]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) name: Text,
    pub(super) address: Text,
    pub(super) weight: Option<Number>,
    pub(super) maxconn: Option<Number>,
    pub(super) backup: Option<Flag>,
    pub(super) state: Option<Text>,
    pub(super) slowstart: Option<Spanned<Interval>>,
    pub(super) check: Option<Spanned<Table<Check>>>,
}

/// A table, and nothing else: serde's derived structs would also be read from an array, by position.
#[derive(Default)]
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Table)
    }
}

/// A duration written as text with its unit: a bare number would leave the reader guessing.
#[derive(Clone, Copy)]
pub(super) struct Interval(pub(super) Duration);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IntervalVisitor)
    }
}

struct IntervalVisitor;

impl Visitor<'_> for IntervalVisitor {
    type Value = Interval;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a duration with its unit, such as "500ms", "5s" or "1h""#)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Interval, E> {
        humantime::parse_duration(text)
            .map(Interval)
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}
