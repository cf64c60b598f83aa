//! Single values that several tables have in common.

use std::{
    fmt::Display,
    num::NonZeroU32,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use toml::Spanned;

use crate::config::{
    error::Fault,
    raw::{Flag, Interval, Number, Text},
    syntax::nearest,
    types::Name,
};

/// Shortest and longest duration of any key: no busy loops, no overflow in nanoseconds.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(365 * 24);

/// A name for a service or backend.
pub(super) fn name(text: &Text) -> Result<Name, Fault> {
    name_at(text, text.get_ref())
}

/// A name that is a part of what is written.
pub(super) fn name_at(text: &Text, name: &str) -> Result<Name, Fault> {
    let right_characters = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if right_characters && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 64 {
        return Ok(Name(name.to_owned()));
    }
    Err(Fault::at(
        text,
        format!("{name:?} is not a name"),
        "use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
    ))
}

/// One of a few words, or `default` when the key is absent.
pub(super) fn word_or<T: Copy>(
    default: T,
    key: &str,
    written: Option<&Text>,
    choices: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    let Some(text) = written else { return Ok(default) };
    let word = text.get_ref();
    choices
        .iter()
        .copied()
        .find(|choice| as_str(*choice) == word)
        .ok_or_else(|| {
            let known: Vec<&str> = choices.iter().map(|choice| as_str(*choice)).collect();
            let advice = match nearest(word, &known) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("write one of {}", known.join(", ")),
            };
            Fault::at(text, format!("{key} {word:?} is not known"), advice)
        })
}

/// A whole number in `range`.
pub(super) fn number<T>(key: &str, number: &Number, range: RangeInclusive<T>) -> Result<T, Fault>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    T::try_from(*number.get_ref())
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| {
            Fault::at(
                number,
                format!("{key} {} is out of range", number.get_ref()),
                format!("write a number from {} to {}", range.start(), range.end()),
            )
        })
}

/// A whole number in `range`, or `default` when the key is absent.
pub(super) fn number_or<T>(
    default: T,
    key: &str,
    written: Option<&Number>,
    range: RangeInclusive<T>,
) -> Result<T, Fault>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    written.map_or(Ok(default), |written| number(key, written, range))
}

/// A limit from 1 to `most`, or none when the key is absent.
pub(super) fn limit(key: &str, written: Option<&Number>, most: u32) -> Result<Option<NonZeroU32>, Fault> {
    match written {
        Some(zero) if *zero.get_ref() == 0 => Err(Fault::at(
            zero,
            format!("{key} 0 would let nothing through"),
            "write a larger number, or remove it for no limit",
        )),
        Some(written) => number(key, written, 1..=most).map(NonZeroU32::new),
        None => Ok(None),
    }
}

/// A yes or no, or `default` when the key is absent.
pub(super) fn flag_or(default: bool, written: Option<&Flag>) -> bool {
    written.map_or(default, |flag| *flag.get_ref())
}

/// The first of these keys that is written, and where.
pub(super) fn first_written<'a>(
    keys: impl IntoIterator<Item = (&'a str, Option<Range<usize>>)>,
) -> Option<(&'a str, Range<usize>)> {
    keys.into_iter().find_map(|(key, span)| Some((key, span?)))
}

/// Where a key is written, if it is.
pub(super) fn place<T>(written: Option<&Spanned<T>>) -> Option<Range<usize>> {
    written.map(Spanned::span)
}

/// A duration in the range of all durations, or `default` when the key is absent.
pub(super) fn duration_or(
    default: Duration,
    key: &str,
    written: Option<&Spanned<Interval>>,
) -> Result<Duration, Fault> {
    Ok(duration(key, written)?.unwrap_or(default))
}

/// A duration in the range of all durations, or none when the key is absent.
pub(super) fn duration(key: &str, written: Option<&Spanned<Interval>>) -> Result<Option<Duration>, Fault> {
    let Some(interval) = written else {
        return Ok(None);
    };
    let Interval(duration) = *interval.get_ref();
    if DURATIONS.contains(&duration) {
        return Ok(Some(duration));
    }
    Err(Fault::at(
        interval,
        format!("{key} {} is out of range", humantime::format_duration(duration)),
        "write a duration from 1ms to 365days",
    ))
}
