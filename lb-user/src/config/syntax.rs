//! From text to raw tables, and TOML's own errors in the configuration's words.

use serde::Deserialize as _;
use toml::de::{DeTable, Deserializer, Error};

use super::{error::Fault, raw};

/// Reads the text into raw tables: right in syntax, keys and types, not yet in meaning.
pub(super) fn read(text: &str) -> Result<raw::File, Fault> {
    let (table, errors) = DeTable::parse_recoverable(text);
    // The parser recovers and goes on; the first place in the file is the one that explains the others.
    if let Some(first) = errors.iter().min_by_key(|error| start(error)) {
        return Err(syntax_fault(first));
    }
    raw::File::deserialize(Deserializer::from(table)).map_err(|error| shape_fault(&error))
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn syntax_fault(error: &Error) -> Fault {
    let message = one_line(error.message());
    let span = error.span().unwrap_or_default();
    if message == "duplicate key" {
        return Fault::within(span, "this key stands here twice", "remove one of the two");
    }
    let message = message.strip_suffix(", expected nothing").unwrap_or(&message);
    Fault::within(
        span,
        format!("not valid TOML: {message}"),
        "correct it (texts, addresses and durations stand in quotes)",
    )
}

/// Serde's messages have fixed forms; each becomes a problem and what to do about it.
fn shape_fault(error: &Error) -> Fault {
    let message = one_line(error.message());
    let (problem, advice) = unknown_key(&message)
        .or_else(|| missing_key(&message))
        .or_else(|| wrong_type(&message))
        .unwrap_or_else(|| (message, "see the manual for what belongs here".to_owned()));
    Fault::within(error.span().unwrap_or_default(), problem, advice)
}

/// "unknown field `wieght`, expected one of `name`, `weight`"
fn unknown_key(message: &str) -> Option<(String, String)> {
    let (key, expected) = message
        .strip_prefix("unknown field `")?
        .split_once("`, expected ")?;
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let advice = match nearest(key, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the keys known here are {}", known.join(", ")),
    };
    Some((format!("unknown key `{key}`"), advice))
}

/// "missing field `name`"
fn missing_key(message: &str) -> Option<(String, String)> {
    let key = message.strip_prefix("missing field ")?;
    Some((
        format!("the key {key} is missing"),
        "add it to this table".to_owned(),
    ))
}

/// "invalid type: integer `5`, expected a string"
fn wrong_type(message: &str) -> Option<(String, String)> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some((
        format!("found {}", toml_word(found)),
        format!("write {}", toml_word(expected)),
    ))
}

/// Serde's name for a type in TOML's words.
fn toml_word(serde_word: &str) -> &str {
    match serde_word {
        "sequence" | "a sequence" => "an array",
        "map" => "a table",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        other => other,
    }
}

/// The word among `known` that `word` is most likely a slip of the pen for: one edit in three letters.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// An error is one line, whatever the text it quotes.
fn one_line(message: &str) -> String {
    message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
