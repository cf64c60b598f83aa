//! `[[service]]`

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    time::Duration,
};

use toml::Spanned;

use super::{
    address,
    backend::{self, Usual},
    check::{Checks, Surroundings, Tracks},
    forwarding,
    global::MOST_FLOWS,
    life,
    sources::{self, Lists},
    value,
};
use crate::config::{
    error::Fault,
    raw::{self, Number, Table, Text},
    types::{Name, OnDown, Protocol, Scheduler, Service},
};

/// Every service and family has a table of its own in kernel memory.
const LARGEST_TABLE: u32 = 65_537;

/// All services, in the order of the file.
pub(super) fn services(
    raw: Vec<Spanned<Table<raw::Service>>>,
    lists: &mut Lists,
) -> Result<Vec<Service>, Fault> {
    if raw.is_empty() {
        return Err(Fault::within(
            0..0,
            "there is no service",
            "add a [[service]] with a name, a bind address and backends",
        ));
    }
    let mut taken = Taken::default();
    let services = raw
        .into_iter()
        .map(|raw| service(raw, &mut taken, lists))
        .collect::<Result<Vec<_>, _>>()?;
    taken.tracks.refuse_dangling(&services)?;
    Ok(services)
}

/// What the services before have claimed for themselves.
#[derive(Default)]
struct Taken {
    names: BTreeSet<Name>,
    binds: HashMap<(Protocol, SocketAddr), Name>,
    tracks: Tracks,
}

/// The bind addresses of one service, each with its place.
pub(super) type Binds<'a> = BTreeMap<SocketAddr, &'a Text>;

fn service(
    raw: Spanned<Table<raw::Service>>,
    taken: &mut Taken,
    lists: &mut Lists,
) -> Result<Service, Fault> {
    let header = raw.span();
    let Table(raw) = raw.into_inner();
    let (protocol, scheduler, on_down) = words(&raw)?;
    let mode = forwarding::mode(&raw)?;
    let name = name(&raw.name, taken)?;
    let binds = binds(&raw.bind, protocol, &name, taken)?;
    let usual = Usual {
        binds: &binds,
        mode,
        checks: Checks::new(raw.check.as_ref(), Surroundings { protocol, mode })?,
        slowstart: value::duration_or(Duration::ZERO, "slowstart", raw.slowstart.as_ref())?,
    };
    let backends = backend::backends(&raw.backend, header, &usual, &mut taken.tracks)?;
    forwarding::refuse_lonely_binds(&binds, &backends, mode)?;
    let idle_timeout = life::idle_timeout(&raw, protocol)?;
    let retries = life::retries(&raw, protocol, mode)?;
    Ok(Service {
        name,
        bind: binds.keys().copied().collect(),
        protocol,
        mode,
        scheduler,
        idle_timeout,
        connect_timeout: life::connect_timeout(&raw, idle_timeout)?,
        close_timeout: life::close_timeout(&raw, idle_timeout, protocol)?,
        drain_timeout: value::duration("drain_timeout", raw.drain_timeout.as_ref())?,
        maxconn: value::limit("maxconn", raw.maxconn.as_ref(), MOST_FLOWS)?,
        on_down,
        retries,
        hide_refused: life::hide_refused(&raw, protocol, mode, retries)?,
        syn_cookies: life::syn_cookies(&raw, protocol, mode)?,
        verify_checksums: value::flag_or(false, raw.verify_checksums.as_ref()),
        sources: lists.rules(raw.allow.as_ref(), raw.deny.as_ref())?,
        limits: sources::limits(raw.limits.as_ref())?,
        table_size: table_size(raw.table_size.as_ref(), backends.len())?,
        allbackups: value::flag_or(true, raw.allbackups.as_ref()),
        backends,
    })
}

fn words(raw: &raw::Service) -> Result<(Protocol, Scheduler, OnDown), Fault> {
    Ok((
        value::word_or(
            Protocol::Tcp,
            "protocol",
            raw.protocol.as_ref(),
            Protocol::ALL,
            Protocol::as_str,
        )?,
        value::word_or(
            Scheduler::Maglev,
            "scheduler",
            raw.scheduler.as_ref(),
            Scheduler::ALL,
            Scheduler::as_str,
        )?,
        value::word_or(
            OnDown::Reset,
            "on_down",
            raw.on_down.as_ref(),
            OnDown::ALL,
            OnDown::as_str,
        )?,
    ))
}

fn name(text: &Text, taken: &mut Taken) -> Result<Name, Fault> {
    let name = value::name(text)?;
    if taken.names.insert(name.clone()) {
        return Ok(name);
    }
    Err(Fault::at(
        text,
        format!("there are two services \"{name}\""),
        "give one of them another name",
    ))
}

fn binds<'a>(
    texts: &'a Spanned<Vec<Text>>,
    protocol: Protocol,
    service: &Name,
    taken: &mut Taken,
) -> Result<Binds<'a>, Fault> {
    if texts.get_ref().is_empty() {
        return Err(Fault::at(
            texts,
            "bind is empty",
            r#"write at least one address, such as ["10.0.0.100:9030"]"#,
        ));
    }
    let mut binds = Binds::new();
    for text in texts.get_ref() {
        let address = address::endpoint(text)?;
        if let Some(owner) = taken.binds.insert((protocol, address), service.clone()) {
            return Err(Fault::at(
                text,
                format!(
                    "{address} ({}) is already bound by service \"{owner}\"",
                    protocol.as_str()
                ),
                "remove one of the two or change its port",
            ));
        }
        binds.insert(address, text);
    }
    Ok(binds)
}

/// Maglev's permutations visit every slot only if the size is prime, and every backend needs a slot.
fn table_size(number: Option<&Number>, backends: usize) -> Result<u32, Fault> {
    let Some(number) = number else {
        return Ok(Service::default_table_size(backends));
    };
    let size: u32 = value::number("table_size", number, 2..=LARGEST_TABLE)?;
    if !is_prime(size) {
        return Err(Fault::at(
            number,
            format!("table_size {size} is not a prime number"),
            "write a prime such as 251, 4093, 16381 or 65537",
        ));
    }
    if usize::try_from(size).is_ok_and(|size| size < backends) {
        return Err(Fault::at(
            number,
            format!("table_size {size} is less than the service's {backends} backends"),
            "write a prime of at least 100 times their number",
        ));
    }
    Ok(size)
}

fn is_prime(size: u32) -> bool {
    const { assert!(LARGEST_TABLE < 257 * 257, "a divisor above 256 would go unseen") };
    (2..=256).all(|divisor| divisor >= size || !size.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_has_room_for_a_hundred_slots_for_each_backend() {
        let sizes = [1, 40, 41, 81, 82, 327, 328, 100_000].map(Service::default_table_size);
        assert_eq!(sizes, [4093, 4093, 8191, 8191, 16_381, 32_749, 65_537, 65_537]);
        assert!(sizes.into_iter().all(is_prime));
    }

    #[test]
    fn primes_are_told_from_other_numbers() {
        let primes: Vec<u32> = (2..30).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && is_prime(251) && !is_prime(251 * 251) && !is_prime(65_536));
    }
}
