//! How long flows live, and what becomes of connections that a backend does not take.

use std::{ops::Range, time::Duration};

use lb_common::layout::MAX_RETRIES;

use super::value;
use crate::config::{
    error::Fault,
    raw,
    types::{Mode, Protocol, SynCookies},
};

/// Outlasts the pauses between a client's first six SYNs: 1, 2, 4, 8 and 16 seconds (RFC 6298).
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Twice the time that Linux takes a segment to live at most (`TCP_TIMEWAIT_LEN`, include/net/tcp.h).
const DEFAULT_CLOSE_TIMEOUT: Duration = Duration::from_mins(1);
/// As in `haproxy.cfg`.
const DEFAULT_RETRIES: u8 = 3;
/// More than the six times that Linux sends a SYN again (`tcp_syn_retries`).
const MOST_RETRIES: u8 = MAX_RETRIES;

/// How long an open flow may be quiet.
pub(super) fn idle_timeout(raw: &raw::Service, protocol: Protocol) -> Result<Duration, Fault> {
    // A quiet TCP session is a client thinking; a quiet UDP flow is mostly a client that is gone.
    let default = match protocol {
        // Who has keepalive on is heard of after two hours, and given up after another eleven minutes (tcp(7)).
        Protocol::Tcp => Duration::from_hours(3),
        Protocol::Udp => Duration::from_mins(1),
    };
    value::duration_or(default, "idle_timeout", raw.idle_timeout.as_ref())
}

/// How long a flow may be quiet that has not opened.
pub(super) fn connect_timeout(raw: &raw::Service, idle_timeout: Duration) -> Result<Duration, Fault> {
    let default = DEFAULT_CONNECT_TIMEOUT.min(idle_timeout);
    let timeout = value::duration_or(default, "connect_timeout", raw.connect_timeout.as_ref())?;
    match &raw.connect_timeout {
        Some(written) if timeout > idle_timeout => Err(Fault::at(
            written,
            format!(
                "connect_timeout {} is longer than idle_timeout {}",
                humantime::format_duration(timeout),
                humantime::format_duration(idle_timeout)
            ),
            "shorten it: a flow that never opened is not worth more than an open one",
        )),
        _ => Ok(timeout),
    }
}

/// How long a closed flow stays.
pub(super) fn close_timeout(
    raw: &raw::Service,
    idle_timeout: Duration,
    protocol: Protocol,
) -> Result<Duration, Fault> {
    if let Some(span) = value::place(raw.close_timeout.as_ref()) {
        refuse_for_udp("close_timeout", span, protocol)?;
    }
    let default = DEFAULT_CLOSE_TIMEOUT.min(idle_timeout);
    value::duration_or(default, "close_timeout", raw.close_timeout.as_ref())
}

/// How often an unanswered SYN is sent to another backend.
pub(super) fn retries(raw: &raw::Service, protocol: Protocol, mode: Mode) -> Result<u8, Fault> {
    if let Some(span) = value::place(raw.retries.as_ref()) {
        refuse_unseen("retries", span, protocol, mode)?;
    }
    let default = match protocol {
        Protocol::Tcp if mode.sees_answers() => DEFAULT_RETRIES,
        Protocol::Tcp | Protocol::Udp => 0,
    };
    value::number_or(default, "retries", raw.retries.as_ref(), 0..=MOST_RETRIES)
}

/// Whether the client is spared a backend's refusal, which makes sense only if its retry may go elsewhere.
pub(super) fn hide_refused(
    raw: &raw::Service,
    protocol: Protocol,
    mode: Mode,
    retries: u8,
) -> Result<bool, Fault> {
    let Some(flag) = &raw.hide_refused else {
        return Ok(false);
    };
    refuse_unseen("hide_refused", flag.span(), protocol, mode)?;
    if *flag.get_ref() && retries == 0 {
        return Err(Fault::at(
            flag,
            "`hide_refused` with retries 0 would leave clients waiting for a backend that refuses them",
            "remove it, or set retries to 1 or more",
        ));
    }
    Ok(*flag.get_ref())
}

/// When SYNs are answered with cookies.
pub(super) fn syn_cookies(raw: &raw::Service, protocol: Protocol, mode: Mode) -> Result<SynCookies, Fault> {
    let written = raw.syn_cookies.as_ref();
    if let Some(span) = value::place(written) {
        refuse_unseen("syn_cookies", span, protocol, mode)?;
    }
    let default = match protocol {
        Protocol::Tcp if mode.sees_answers() => SynCookies::Auto,
        Protocol::Tcp | Protocol::Udp => SynCookies::Never,
    };
    value::word_or(
        default,
        "syn_cookies",
        written,
        SynCookies::ALL,
        SynCookies::as_str,
    )
}

/// Refuses a key about answers to a SYN where there are none, or none that the balancer sees.
fn refuse_unseen(key: &str, span: Range<usize>, protocol: Protocol, mode: Mode) -> Result<(), Fault> {
    refuse_for_udp(key, span.clone(), protocol)?;
    if mode.sees_answers() {
        return Ok(());
    }
    Err(Fault::within(
        span,
        format!(
            "`{key}` cannot work in mode \"{}\": answers do not pass the balancer",
            mode.as_str()
        ),
        "remove it, or set mode to \"full-nat\" or \"nat\"",
    ))
}

/// Refuses a key about connections where there are none.
fn refuse_for_udp(key: &str, span: Range<usize>, protocol: Protocol) -> Result<(), Fault> {
    match protocol {
        Protocol::Tcp => Ok(()),
        Protocol::Udp => Err(Fault::within(
            span,
            format!("`{key}` means nothing to a udp service, which has no connections"),
            "remove it",
        )),
    }
}
