//! Whose packets are watched.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A client, or a network of them, and the port that it sends from if that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Client {
    /// Where it is.
    pub network: IpNet,
    /// Its port.
    pub port: Option<u16>,
}

/// What should name a client does not.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no client: write an address or network, and a port if it matters, such as 192.0.2.7, 192.0.2.0/24:40000 or [2001:db8::7]:40000"
)]
pub struct NoClient(String);

impl FromStr for Client {
    type Err = NoClient;

    fn from_str(text: &str) -> Result<Self, NoClient> {
        let parsed = parts(text).and_then(|(network, port)| {
            let network = match network.parse::<IpAddr>() {
                Ok(address) => IpNet::from(address),
                Err(_) => network.parse().ok()?,
            };
            let port = match port {
                Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
                None => None,
            };
            Some(Self { network, port })
        });
        parsed.ok_or_else(|| NoClient(text.to_owned()))
    }
}

/// Network and port, IPv6 in brackets where there is a port.
fn parts(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (network, port) = rest.split_once(']')?;
        return Some((network, Some(port.strip_prefix(':')?)));
    }
    Some(match text.split_once(':') {
        Some((network, port)) if !port.contains(':') => (network, Some(port)),
        _ => (text, None),
    })
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, port } = self;
        match (port, network) {
            (None, _) => write!(f, "{network}"),
            (Some(port), IpNet::V4(_)) => write!(f, "{network}:{port}"),
            (Some(port), IpNet::V6(_)) => write!(f, "[{network}]:{port}"),
        }
    }
}

impl From<Client> for String {
    fn from(client: Client) -> Self {
        client.to_string()
    }
}

impl TryFrom<String> for Client {
    type Error = NoClient;

    fn try_from(text: String) -> Result<Self, NoClient> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_or_networks_and_may_have_a_port() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7:40000", "192.0.2.7/32:40000"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.0/24:1", "192.0.2.0/24:1"),
            ("2001:db8::7", "2001:db8::7/128"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("[2001:db8::7]:443", "[2001:db8::7/128]:443"),
            ("[2001:db8::/64]:443", "[2001:db8::/64]:443"),
        ] {
            let client: Client = text.parse().expect(text);
            assert_eq!(client.to_string(), shown);
            assert_eq!(shown.parse::<Client>().expect(shown), client);
        }
    }

    #[test]
    fn what_is_no_client_is_refused() {
        for text in [
            "",
            "here",
            "192.0.2.7:",
            "192.0.2.7:0",
            "192.0.2.7:65536",
            "192.0.2.0/33",
            "[2001:db8::7]443",
            "[2001:db8::7",
            ":80",
        ] {
            let refused = text.parse::<Client>().expect_err(text).to_string();
            assert!(refused.contains("is no client"), "{refused}");
        }
    }
}
