//! Addresses, and which of them packets can be balanced between.

use std::net::{IpAddr, SocketAddr};

use crate::config::{error::Fault, raw::Text};

/// An address and port of one host.
pub(super) fn endpoint(text: &Text) -> Result<SocketAddr, Fault> {
    let endpoint: SocketAddr = text.get_ref().parse().map_err(|_| not_an_endpoint(text))?;
    if endpoint.port() == 0 {
        return Err(Fault::at(
            text,
            "port 0 cannot be connected to",
            "write a port from 1 to 65535",
        ));
    }
    match endpoint {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(Fault::at(
            text,
            "an address with a scope (%) is not supported",
            "write a global or ULA address",
        )),
        _ => refuse_unusable(text, endpoint.ip()).map(|()| endpoint),
    }
}

/// An address of one host.
pub(super) fn host(text: &Text) -> Result<IpAddr, Fault> {
    let address: IpAddr = text.get_ref().parse().map_err(|_| {
        Fault::at(
            text,
            format!("{:?} is not an IP address", text.get_ref()),
            r#"write one without a port, such as "10.0.0.1" or "fd00::1""#,
        )
    })?;
    refuse_unusable(text, address).map(|()| address)
}

/// The address family in words.
pub(super) fn family(address: &SocketAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn not_an_endpoint(text: &Text) -> Fault {
    let written = text.get_ref();
    match written.parse() {
        Ok(IpAddr::V4(_)) => Fault::at(
            text,
            format!("{written:?} has no port"),
            format!(r#"write "{written}:PORT""#),
        ),
        Ok(IpAddr::V6(_)) => Fault::at(
            text,
            format!("{written:?} has no port"),
            format!(r#"write "[{written}]:PORT""#),
        ),
        Err(_) => Fault::at(
            text,
            format!("{written:?} is not an IP address and port"),
            r#"write them like "10.0.0.1:9030" or "[fd00::1]:9030"; names are not looked up"#,
        ),
    }
}

fn refuse_unusable(text: &Text, address: IpAddr) -> Result<(), Fault> {
    let advice = "write the address of one host";
    if address.is_unspecified() {
        return Err(Fault::at(
            text,
            format!("{address} stands for any address"),
            advice,
        ));
    }
    if address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Err(Fault::at(text, format!("{address} is a group of hosts"), advice));
    }
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(Fault::at(
            text,
            format!("{address} is an IPv4 address in IPv6 form, which never occurs in a packet"),
            format!("write {v4}"),
        ));
    }
    Ok(())
}
