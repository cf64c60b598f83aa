//! `[service.check]`, and `check` of `[[service.backend]]`.

mod credentials;
mod database;
mod exchange;
mod exec;
mod http;
mod kind;
mod observe;
mod track;

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    sync::{Arc, LazyLock},
    time::Duration,
};

use toml::Spanned;

use self::kind::Kind;
pub(super) use self::track::Tracks;
use super::{address, global, value};
use crate::config::{
    error::Fault,
    raw::{self, Table, Text},
    types::{Check, CheckKind, CheckSource, Flaps, Health, Mode, Name, Protocol},
};

const DEFAULT_INTER: Duration = Duration::from_secs(2);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;
/// Unless `inter` is shorter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// At the default `inter` more than half an hour; larger is a slip of the pen.
const MOST_RESULTS: u32 = 1000;
/// At the default pace a backend that goes up and down without a pause does so six times a minute.
const DEFAULT_MAX_FLAPS: u32 = 5;
const DEFAULT_FLAP_WINDOW: Duration = Duration::from_mins(1);

/// What a check may be depends on the service around it.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) protocol: Protocol,
    pub(super) mode: Mode,
}

/// The checks of one service's backends.
pub(super) struct Checks<'s> {
    written: &'s raw::Check,
    surroundings: Surroundings,
    /// That of all backends which say nothing else; none where they track others.
    usual: Option<Arc<Check>>,
}

impl<'s> Checks<'s> {
    /// Of a service; `[service.check]` may be absent.
    pub(super) fn new(
        raw: Option<&'s Spanned<Table<raw::Check>>>,
        surroundings: Surroundings,
    ) -> Result<Self, Fault> {
        static NOTHING: LazyLock<raw::Check> = LazyLock::new(raw::Check::default);
        let written = raw.map_or(&*NOTHING, |raw| &raw.get_ref().0);
        let usual = match written.track {
            Some(_) => None,
            None => Some(Arc::new(check(written, surroundings)?)),
        };
        Ok(Self {
            written,
            surroundings,
            usual,
        })
    }

    /// Where the health of one of the backends comes from.
    pub(super) fn of(
        &self,
        name: &Name,
        backend: &raw::Backend,
        at: SocketAddr,
        tracks: &mut Tracks,
    ) -> Result<Health, Fault> {
        let own = backend.check.as_ref().map(|own| &own.get_ref().0);
        let track = own.map_or(self.written.track.as_ref(), |own| own.track.as_ref());
        if let Some(track) = track {
            track::refuse_other_keys(own.unwrap_or(self.written))?;
            return tracks.follow(track, name);
        }
        let written = own.map(|own| own.over(self.written));
        let check = match (&written, &self.usual) {
            (None, Some(usual)) => Arc::clone(usual),
            (written, _) => Arc::new(check(
                written.as_ref().unwrap_or(self.written),
                self.surroundings,
            )?),
        };
        refuse_other_family(written.as_ref().unwrap_or(self.written), &check, at)?;
        Ok(Health::Checked(check))
    }
}

fn check(raw: &raw::Check, surroundings: Surroundings) -> Result<Check, Fault> {
    let kind = Kind::of(raw, surroundings.protocol)?;
    kind.refuse_keys_of_others(raw)?;
    let port = port(raw)?;
    kind.refuse_portless(raw, port, surroundings.protocol)?;
    let inter = value::duration_or(DEFAULT_INTER, "inter", raw.inter.as_ref())?;
    Ok(Check {
        kind: asked(kind, raw)?,
        inter,
        fastinter: value::duration_or(inter, "fastinter", raw.fastinter.as_ref())?,
        downinter: value::duration_or(inter, "downinter", raw.downinter.as_ref())?,
        rise: value::number_or(DEFAULT_RISE, "rise", raw.rise.as_ref(), 1..=MOST_RESULTS)?,
        fall: value::number_or(DEFAULT_FALL, "fall", raw.fall.as_ref(), 1..=MOST_RESULTS)?,
        timeout: value::duration_or(inter.min(DEFAULT_TIMEOUT), "timeout", raw.timeout.as_ref())?,
        address: raw.address.as_ref().map(address::host).transpose()?,
        port,
        source: source(raw)?,
        vip: vip(raw, kind, surroundings)?,
        flaps: flaps(raw)?,
        observe: observe::observe(raw, kind, surroundings)?,
    })
}

fn asked(kind: Kind, raw: &raw::Check) -> Result<CheckKind, Fault> {
    Ok(match kind {
        Kind::None => CheckKind::None,
        Kind::Tcp => CheckKind::Tcp(exchange::exchange(raw)),
        Kind::Udp => CheckKind::Udp(exchange::exchange(raw)),
        Kind::Http => CheckKind::Http(http::http(raw, None)?),
        Kind::Https => CheckKind::Http(http::http(raw, Some(http::tls(raw)?))?),
        Kind::Mysql => CheckKind::Mysql(database::mysql(raw)?),
        Kind::Starrocks => CheckKind::Starrocks(database::starrocks(raw)?),
        Kind::Agent => CheckKind::Agent(exchange::agent(raw)),
        Kind::Exec => CheckKind::Exec(exec::exec(raw)?),
    })
}

fn port(raw: &raw::Check) -> Result<Option<NonZeroU16>, Fault> {
    let port = raw
        .port
        .as_ref()
        .map(|port| value::number("port", port, 1..=u16::MAX))
        .transpose()?;
    Ok(port.and_then(NonZeroU16::new))
}

fn source(raw: &raw::Check) -> Result<CheckSource, Fault> {
    let interface = |text: &Text| {
        global::interface_name(text.get_ref()).map_err(|advice| {
            let problem = format!("{:?} is not an interface name", text.get_ref());
            Fault::at(text, problem, advice)
        })
    };
    Ok(CheckSource {
        address: raw.source.as_ref().map(address::host).transpose()?,
        interface: raw.interface.as_ref().map(interface).transpose()?,
    })
}

/// Refuses a source that the checked address cannot be asked from.
fn refuse_other_family(raw: &raw::Check, check: &Check, backend: SocketAddr) -> Result<(), Fault> {
    let checked = check.address.unwrap_or(backend.ip());
    match (&raw.source, check.source.address) {
        (Some(written), Some(source)) if source.is_ipv4() != checked.is_ipv4() => Err(Fault::at(
            written,
            format!("checks from {source} cannot reach {checked}, which is of the other family"),
            "give that backend a `check` with a source of its own family",
        )),
        _ => Ok(()),
    }
}

fn vip(raw: &raw::Check, kind: Kind, surroundings: Surroundings) -> Result<bool, Fault> {
    let Some(flag) = raw.vip.as_ref().filter(|flag| *flag.get_ref()) else {
        return Ok(false);
    };
    let Surroundings { protocol, mode } = surroundings;
    if mode.sees_answers() {
        return Err(Fault::at(
            flag,
            format!(
                "`vip` means nothing in mode \"{}\", in which backends do not have the service's address",
                mode.as_str()
            ),
            "remove it, or set mode to \"dsr\" or \"tunnel\"",
        ));
    }
    if protocol == Protocol::Udp || kind == Kind::None {
        return Err(Fault::at(
            flag,
            "`vip` asks for a TCP connection after each check, and there is none",
            "remove it, or set protocol to \"tcp\" and another type",
        ));
    }
    Ok(true)
}

fn flaps(raw: &raw::Check) -> Result<Option<Flaps>, Fault> {
    let most = value::number_or(
        DEFAULT_MAX_FLAPS,
        "max_flaps",
        raw.max_flaps.as_ref(),
        0..=MOST_RESULTS,
    )?;
    let window = value::duration_or(DEFAULT_FLAP_WINDOW, "flap_window", raw.flap_window.as_ref())?;
    Ok(NonZeroU32::new(most).map(|most| Flaps { most, window }))
}
