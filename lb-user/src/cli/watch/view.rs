//! How it is drawn.

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Text},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};

use super::{Mode, Watch};
use crate::stats::{ListedBackend, Statistics, format};

const HEADINGS: [&str; 9] = [
    "BACKEND", "STATE", "WEIGHT", "FLOWS", "MOST", "NEW/S", "IN", "OUT", "CHECK",
];

const KEYS: &str = "↑ ↓ move · s sorts · / filters · d drain · r ready · m maint · q leaves";

pub(super) fn draw(frame: &mut Frame<'_>, watch: &Watch) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(headline(&watch.statistics, watch)), head);
    let rows = watch.rows();
    let widths = [
        Constraint::Min(12),
        Constraint::Length(13),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Fill(2),
    ];
    let heading = Row::new(HEADINGS.map(Cell::from)).style(Modifier::BOLD);
    let table = Table::new(rows.iter().map(row), widths)
        .header(heading)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut selected = TableState::default().with_selected(Some(watch.selected));
    frame.render_stateful_widget(table, body, &mut selected);
    frame.render_widget(Line::raw(footline(watch)).style(Modifier::DIM), foot);
}

fn headline(statistics: &Statistics, watch: &Watch) -> Text<'static> {
    let verdicts = &statistics.packets.verdicts;
    Text::from(vec![
        Line::raw(format!(
            "Ballast {} · {} · running for {} · sorted by {}",
            statistics.version,
            statistics.dataplane,
            format::seconds(statistics.uptime_seconds),
            watch.order.as_str(),
        )),
        Line::raw(format!(
            "{} forwarded · {} passed to this host · {} dropped",
            format::count(verdicts.forwarded()),
            format::count(verdicts.pass),
            format::count(verdicts.drop),
        )),
    ])
}

fn row(listed: &ListedBackend) -> Row<'static> {
    let ListedBackend { service, backend } = listed;
    let counters = &backend.counters;
    let since = format::seconds(backend.check.changed_seconds_ago);
    let colour = match backend.state.as_str() {
        "up" => Color::Green,
        "down" => Color::Red,
        _ => Color::Blue,
    };
    let figure = |text: String| Cell::from(Text::from(text).right_aligned());
    // What a backend says must not reach the terminal as a command.
    let check = format!("{} {}", backend.check.status, backend.check.detail).replace(char::is_control, " ");
    Row::new([
        Cell::from(format!("{service}/{}", backend.name)),
        Cell::from(format!("{} {since}", backend.state)).style(colour),
        figure(backend.weight.to_string()),
        figure(format::count(counters.flows_active)),
        figure(format::count(counters.flows_max)),
        figure(format::count(counters.flows_rate)),
        figure(format::bytes(counters.bytes_in)),
        figure(format::bytes(counters.bytes_out)),
        Cell::from(check),
    ])
}

fn footline(watch: &Watch) -> String {
    match &watch.mode {
        Mode::Asking(change) => format!("{change}: do it? y/n"),
        Mode::Filtering => format!("/{}", watch.filter),
        Mode::Looking if !watch.said.is_empty() => watch.said.clone(),
        Mode::Looking if !watch.filter.is_empty() => format!("/{} · {KEYS}", watch.filter),
        Mode::Looking => KEYS.to_owned(),
    }
}
