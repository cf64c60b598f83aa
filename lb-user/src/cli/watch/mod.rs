//! `ballast stats --watch`: all backends on the whole screen, live, with the actions of the command line.

mod view;

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind};

use super::client::Client;
use crate::{
    daemon::Applied,
    runtime::{Admin, Change},
    stats::{ListedBackend, Statistics},
};

/// Between two looks at the daemon.
const EVERY: Duration = Duration::from_secs(1);

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As in the configuration.
    File,
    Flows,
    Rate,
    Traffic,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::File => Self::Flows,
            Self::Flows => Self::Rate,
            Self::Rate => Self::Traffic,
            Self::Traffic => Self::File,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::File => "configuration",
            Self::Flows => "flows",
            Self::Rate => "new flows",
            Self::Traffic => "traffic",
        }
    }
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// They move and order.
    Looking,
    /// They are letters of the filter.
    Filtering,
    /// They answer whether to do it.
    Asking(Change),
}

/// What is on the screen.
struct Watch {
    statistics: Statistics,
    order: Order,
    filter: String,
    selected: usize,
    mode: Mode,
    /// What was done, or why not.
    said: String,
}

/// What a key leads to.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Stay,
    Leave,
    Do(Change),
}

/// Watches until it is told to leave.
pub(super) fn run(client: &Client) -> Result<()> {
    ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "--watch needs a terminal; leave it out, or use --json in a loop"
    );
    let mut watch = Watch::new(client.ask("stats")?);
    let mut terminal = ratatui::try_init()?;
    let outcome = (|| loop {
        terminal.draw(|frame| view::draw(frame, &watch))?;
        match watch.wait_for_key()? {
            Next::Stay => {}
            Next::Leave => return Ok(()),
            Next::Do(change) => watch.change(client, &change),
        }
        watch.look(client);
    })();
    ratatui::restore();
    outcome
}

impl Watch {
    fn new(statistics: Statistics) -> Self {
        Self {
            statistics,
            order: Order::File,
            filter: String::new(),
            selected: 0,
            mode: Mode::Looking,
            said: String::new(),
        }
    }

    /// The backends that the filter lets through, in order.
    fn rows(&self) -> Vec<ListedBackend> {
        let mut rows = self.statistics.listed_backends();
        let words = self.filter.to_lowercase();
        rows.retain(|row| {
            let text = format!(
                "{}/{} {} {}",
                row.service, row.backend.name, row.backend.address, row.backend.state
            );
            words
                .split_whitespace()
                .all(|word| text.to_lowercase().contains(word))
        });
        let key = |row: &ListedBackend| {
            let counters = &row.backend.counters;
            match self.order {
                Order::File => 0,
                Order::Flows => counters.flows_active,
                Order::Rate => counters.flows_rate,
                Order::Traffic => counters.bytes_in + counters.bytes_out,
            }
        };
        rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        rows
    }

    /// A daemon that does not answer may be restarting: what was last known stays, and the screen says so.
    fn look(&mut self, client: &Client) {
        match client.ask("stats") {
            Ok(statistics) => self.statistics = statistics,
            Err(error) => self.said = format!("{error:#}"),
        }
    }

    fn change(&mut self, client: &Client, change: &Change) {
        self.said = match client.send::<Applied>("changes", change) {
            Ok(_) => format!("{change}; `ballast save` writes it to the file"),
            Err(error) => format!("{error:#}"),
        };
    }

    /// Waits for a key, or until it is time to look again.
    fn wait_for_key(&mut self) -> Result<Next> {
        let until = Instant::now() + EVERY;
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                return Ok(self.key(key));
            }
        }
        Ok(Next::Stay)
    }

    fn key(&mut self, key: KeyEvent) -> Next {
        match (&self.mode, key.code) {
            (Mode::Asking(change), KeyCode::Char('y')) => {
                let change = change.clone();
                self.mode = Mode::Looking;
                return Next::Do(change);
            }
            (Mode::Asking(_), _) | (Mode::Filtering, KeyCode::Enter | KeyCode::Esc) => {
                self.mode = Mode::Looking;
            }
            (Mode::Filtering, KeyCode::Backspace) => drop(self.filter.pop()),
            (Mode::Filtering, KeyCode::Char(letter)) => self.filter.push(letter),
            (Mode::Looking, KeyCode::Char('q') | KeyCode::Esc) => return Next::Leave,
            (Mode::Looking, KeyCode::Down | KeyCode::Char('j')) => self.selected += 1,
            (Mode::Looking, KeyCode::Up | KeyCode::Char('k')) => {
                self.selected = self.selected.saturating_sub(1);
            }
            (Mode::Looking, KeyCode::Char('/')) => self.mode = Mode::Filtering,
            (Mode::Looking, KeyCode::Char('s')) => self.order = self.order.next(),
            (Mode::Looking, KeyCode::Char('d')) => self.ask_for(Admin::Drain),
            (Mode::Looking, KeyCode::Char('r')) => self.ask_for(Admin::Ready),
            (Mode::Looking, KeyCode::Char('m')) => self.ask_for(Admin::Maint),
            (Mode::Looking | Mode::Filtering, _) => {}
        }
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
        Next::Stay
    }

    fn ask_for(&mut self, state: Admin) {
        if let Some(row) = self.rows().get(self.selected) {
            self.mode = Mode::Asking(Change::State {
                service: row.service.clone(),
                backend: row.backend.name.clone(),
                state,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend, crossterm::event::KeyModifiers};

    use super::*;
    use crate::stats::sample;

    fn press(watch: &mut Watch, keys: &str) -> Next {
        let mut next = Next::Stay;
        for key in keys.chars() {
            let code = if key == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(key)
            };
            next = watch.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        next
    }

    #[test]
    fn the_screen_shows_every_backend_and_what_keys_do() {
        let watch = Watch::new(sample::statistics());
        let mut terminal = Terminal::new(TestBackend::new(110, 12)).expect("a screen");
        terminal
            .draw(|frame| view::draw(frame, &watch))
            .expect("it is drawn");
        let screen = terminal.backend().to_string();
        for part in [
            "Ballast 1.2.3",
            "fe/node1",
            "fe/node5",
            "drain",
            "3.2 GiB",
            "q leaves",
        ] {
            assert!(screen.contains(part), "{part} is missing in\n{screen}");
        }
    }

    #[test]
    fn what_changes_something_asks_first() {
        let mut watch = Watch::new(sample::statistics());
        assert_eq!(press(&mut watch, "jdn"), Next::Stay, "no");
        let Next::Do(change) = press(&mut watch, "my") else {
            panic!("nothing is done");
        };
        assert_eq!(change.to_string(), "fe/node2 maint");
        assert_eq!(press(&mut watch, "q"), Next::Leave);
    }

    #[test]
    fn rows_are_filtered_and_sorted_and_the_selection_stays_within() {
        let mut watch = Watch::new(sample::statistics());
        watch.statistics.services[0].backends[2].counters.flows_active = 99;
        press(&mut watch, "jjjj/down\n");
        assert_eq!(watch.rows().len(), 1);
        assert_eq!(watch.selected, 0);
        watch.filter.clear();
        press(&mut watch, "s");
        assert_eq!(watch.rows()[0].backend.name, "node3");
    }
}
