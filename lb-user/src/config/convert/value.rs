//! Single values that several tables have in common.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use toml::Spanned;

use crate::config::{
    error::Fault,
    raw::{Interval, Number, Text},
    syntax::nearest,
    types::Name,
};

/// Shortest and longest duration of any key: no busy loops, no overflow in nanoseconds.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(365 * 24);

/// A name for a service or backend.
pub(super) fn name(text: &Text) -> Result<Name, Fault> {
    let name = text.get_ref();
    let right_characters = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if right_characters && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 64 {
        return Ok(Name(name.clone()));
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
            let advice = match (nearest(word, &known), known.as_slice()) {
                (Some(meant), _) => format!("did you mean {meant:?}?"),
                (None, [only]) => format!("write {only:?}, the only one there is so far"),
                (None, _) => format!("write one of {}", known.join(", ")),
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

/// A duration in the range of all durations, or `default` when the key is absent.
pub(super) fn duration_or(
    default: Duration,
    key: &str,
    written: Option<&Spanned<Interval>>,
) -> Result<Duration, Fault> {
    let Some(interval) = written else {
        return Ok(default);
    };
    let Interval(duration) = *interval.get_ref();
    if DURATIONS.contains(&duration) {
        return Ok(duration);
    }
    Err(Fault::at(
        interval,
        format!("{key} {} is out of range", humantime::format_duration(duration)),
        "write a duration from 1ms to 365days",
    ))
}
