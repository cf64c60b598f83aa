//! `HAProxy`'s agent check: a line of words from a program on the backend's host.

use std::str;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    Duty, Orders, Outcome,
    probe::{Failure, Verdict, printable},
    tcp::{self, read_until},
};
use crate::config::types::AgentCheck;

/// More than a configured weight can be raised by, `HAProxy` takes no more either.
const MOST_PERCENT: u16 = 256;

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words<'a> {
    /// Whether the backend is up; `None`: not mentioned.
    pub outcome: Option<Outcome>,
    /// The last word about its state, for people.
    pub word: Option<&'a str>,
    /// What stands behind `#`.
    pub description: Option<&'a str>,
    /// What it asks for.
    pub orders: Orders,
}

/// Asks the agent at the other end.
pub(super) async fn ask(check: &AgentCheck, stream: &mut TcpStream) -> Result<Verdict, Failure> {
    let sent = stream.write_all(&check.send).await;
    let (answer, end) = read_until(stream, tcp::MOST_READ, |answer| answer.contains(&b'\n')).await;
    if answer.is_empty() {
        sent.and(end)?;
        return Ok(Verdict::failed("connection closed without an answer"));
    }
    Ok(match parse(&answer) {
        Some(words) => words.verdict(),
        None => Verdict::failed(format!("not an agent's answer: {}", printable(&answer))),
    })
}

/// The words of an answer's first line, parted by spaces, tabs and commas in any order; `None` where one of them is
/// none of the protocol's.
#[must_use]
pub fn parse(answer: &[u8]) -> Option<Words<'_>> {
    let line = answer.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let line = str::from_utf8(line).ok()?;
    let (words, description) = match line.split_once('#') {
        Some((words, description)) => (words, Some(description.trim())),
        None => (line, None),
    };
    let mut found = Words {
        outcome: None,
        word: None,
        description: description.filter(|text| !text.is_empty()),
        orders: Orders::default(),
    };
    let mut any = false;
    for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        found.take(word)?;
        any = true;
    }
    any.then_some(found)
}

impl<'a> Words<'a> {
    fn take(&mut self, word: &'a str) -> Option<()> {
        match word {
            "up" => self.outcome = Some(Outcome::Ok),
            "down" | "failed" | "stopped" => self.outcome = Some(Outcome::Failed),
            "ready" => self.orders.duty = Some(Duty::Ready),
            "drain" => self.orders.duty = Some(Duty::Drain),
            "maint" => self.orders.duty = Some(Duty::Maint),
            _ => return self.take_number(word),
        }
        self.word = Some(word);
        Some(())
    }

    fn take_number(&mut self, word: &str) -> Option<()> {
        if let Some(limit) = word.strip_prefix("maxconn:") {
            // Known, and not heeded: the packet path's limit is the configuration's.
            return limit.parse::<u32>().ok().map(drop);
        }
        let percent: u32 = word.strip_suffix('%')?.parse().ok()?;
        let percent = u16::try_from(percent).unwrap_or(MOST_PERCENT);
        self.orders.percent = Some(percent.min(MOST_PERCENT));
        Some(())
    }

    /// An agent that does not mention the state leaves it: it is there, which counts as a success.
    fn verdict(&self) -> Verdict {
        let word = self.word.unwrap_or("answers");
        let percent = self.orders.percent.map(|percent| format!(" {percent}%"));
        let description = self
            .description
            .map(|text| format!(" ({})", printable(text.as_bytes())));
        let more: String = percent.into_iter().chain(description).collect();
        let detail = format!("agent: {word}{more}");
        let verdict = match self.outcome {
            Some(Outcome::Failed) => Verdict::failed(detail),
            Some(Outcome::Ok) | None => Verdict::ok(detail),
        };
        Verdict {
            orders: self.orders,
            ..verdict
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(duty: Option<Duty>, percent: Option<u16>) -> Orders {
        Orders { duty, percent }
    }

    #[test]
    fn every_word_of_the_protocol_is_understood() {
        for (line, outcome, expected) in [
            ("up\n", Some(Outcome::Ok), Orders::default()),
            ("down#disk full\r\n", Some(Outcome::Failed), Orders::default()),
            ("failed", Some(Outcome::Failed), Orders::default()),
            ("stopped\n", Some(Outcome::Failed), Orders::default()),
            ("75%\n", None, orders(None, Some(75))),
            ("drain\n", None, orders(Some(Duty::Drain), None)),
            ("maint\n", None, orders(Some(Duty::Maint), None)),
            (
                "ready, up\t50% maxconn:30\n",
                Some(Outcome::Ok),
                orders(Some(Duty::Ready), Some(50)),
            ),
            ("4294967295%\n", None, orders(None, Some(256))),
        ] {
            let words = parse(line.as_bytes()).expect(line);
            assert_eq!((words.outcome, words.orders), (outcome, expected), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_word_of_it_is_refused_as_a_whole() {
        for line in [
            "",
            "\n",
            " ,\t\n",
            "up sideways\n",
            "-5%\n",
            "maxconn:\n",
            "# up\n",
            "u\u{fffd}p",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(parse(b"up\xff"), None);
    }

    #[test]
    fn what_an_agent_says_is_shown() {
        let detail = |line: &str| parse(line.as_bytes()).unwrap().verdict().detail;
        assert_eq!(
            detail("down#disk \u{1b}[2Jfull\n"),
            "agent: down (disk \\x1b[2Jfull)"
        );
        assert_eq!(detail("up 50%\n"), "agent: up 50%");
        assert_eq!(detail("10%\n"), "agent: answers 10%");
    }
}
