//! `[service.check]`, and what a backend has different.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor},
};
use toml::Spanned;

use super::{Flag, Interval, Number, Text};

/// Variables of an environment, by name.
pub(in crate::config) type Variables = Spanned<BTreeMap<String, String>>;

/// A check's keys, all of them optional.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Check {
    #[serde(rename = "type")]
    pub(in crate::config) kind: Option<Text>,
    pub(in crate::config) inter: Option<Spanned<Interval>>,
    pub(in crate::config) fastinter: Option<Spanned<Interval>>,
    pub(in crate::config) downinter: Option<Spanned<Interval>>,
    pub(in crate::config) rise: Option<Number>,
    pub(in crate::config) fall: Option<Number>,
    pub(in crate::config) timeout: Option<Spanned<Interval>>,
    pub(in crate::config) port: Option<Number>,
    pub(in crate::config) address: Option<Text>,
    pub(in crate::config) source: Option<Text>,
    pub(in crate::config) interface: Option<Text>,
    pub(in crate::config) vip: Option<Flag>,
    pub(in crate::config) track: Option<Text>,
    pub(in crate::config) max_flaps: Option<Number>,
    pub(in crate::config) flap_window: Option<Spanned<Interval>>,
    pub(in crate::config) observe: Option<Text>,
    pub(in crate::config) error_limit: Option<Number>,
    pub(in crate::config) on_error: Option<Text>,
    pub(in crate::config) send: Option<Spanned<Bytes>>,
    pub(in crate::config) expect: Option<Spanned<Bytes>>,
    pub(in crate::config) method: Option<Text>,
    pub(in crate::config) target: Option<Text>,
    pub(in crate::config) version: Option<Text>,
    pub(in crate::config) headers: Option<Spanned<Vec<Text>>>,
    pub(in crate::config) request: Option<Text>,
    pub(in crate::config) status: Option<Spanned<Statuses>>,
    pub(in crate::config) body: Option<Spanned<Bytes>>,
    pub(in crate::config) verify: Option<Flag>,
    pub(in crate::config) ca_file: Option<Text>,
    pub(in crate::config) server_name: Option<Text>,
    pub(in crate::config) user: Option<Text>,
    pub(in crate::config) password_file: Option<Text>,
    pub(in crate::config) password_env: Option<Text>,
    pub(in crate::config) require: Option<Text>,
    pub(in crate::config) read_only: Option<Flag>,
    pub(in crate::config) replication: Option<Flag>,
    pub(in crate::config) max_lag: Option<Spanned<Interval>>,
    pub(in crate::config) http_port: Option<Number>,
    pub(in crate::config) node: Option<Text>,
    pub(in crate::config) command: Option<Spanned<Vec<Text>>>,
    pub(in crate::config) env: Option<Variables>,
}

/// These fields of `$own`, where they are not there of `$service`, and nothing but those that `$($rest)*` gives of all
/// others.
macro_rules! inherited {
    ($own:ident, $service:ident, [$($key:ident),* $(,)?], $($rest:tt)*) => {
        Self {
            $($key: $own.$key.clone().or_else(|| $service.$key.clone()),)*
            $($rest)*
        }
    };
}

impl Check {
    /// What a backend has written, and for the rest what its service has. One that is checked in another way takes over
    /// what all ways have in common.
    pub(in crate::config) fn over(&self, service: &Self) -> Self {
        let own = self;
        let common = inherited!(
            own,
            service,
            [
                kind,
                inter,
                fastinter,
                downinter,
                rise,
                fall,
                timeout,
                port,
                address,
                source,
                interface,
                vip,
                track,
                max_flaps,
                flap_window,
                observe,
                error_limit,
                on_error,
            ],
            ..Self::default()
        );
        let of_kind = if own.kind.is_some() { own } else { service };
        inherited!(
            own,
            of_kind,
            [
                send,
                expect,
                method,
                target,
                version,
                headers,
                request,
                status,
                body,
                verify,
                ca_file,
                server_name,
                user,
                password_file,
                password_env,
                require,
                read_only,
                replication,
                max_lag,
                http_port,
                node,
                command,
                env,
            ],
            ..common
        )
    }
}

/// Bytes: a text, or `{ hex = "…" }` for what is none.
#[derive(Clone)]
pub(in crate::config) struct Bytes(pub(in crate::config) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a text, or bytes such as { hex = "0a ff" }"#)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        match (map.next_entry::<String, String>()?, map.next_key::<String>()?) {
            (Some((key, digits)), None) if key == "hex" => {
                unhex(&digits).ok_or_else(|| A::Error::invalid_value(Unexpected::Str(&digits), &self))
            }
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

fn unhex(digits: &str) -> Option<Bytes> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    Some(Bytes(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
}

/// HTTP statuses: `200`, `"200"` or `"200-399"`, or several of them; lowest and highest as written.
#[derive(Clone)]
pub(in crate::config) struct Statuses(pub(in crate::config) Vec<(u16, u16)>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl<'de> Visitor<'de> for StatusVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a status such as 200, or a range such as "200-399""#)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Statuses, E> {
        u16::try_from(number)
            .map(|status| Statuses(vec![(status, status)]))
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        match (low.trim().parse(), high.trim().parse()) {
            (Ok(low), Ok(high)) => Ok(Statuses(vec![(low, high)])),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Statuses, A::Error> {
        let mut all = Vec::new();
        while let Some(Statuses(one)) = sequence.next_element()? {
            all.extend(one);
        }
        Ok(Statuses(all))
    }
}
