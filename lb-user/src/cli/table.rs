//! Tables for people: fitted to the terminal, plain where there is none.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets,
};

use crate::stats::{Backend, ServiceState, format};

/// An empty table under the given headings. On a terminal it is coloured, and its last column, the one with the
/// prose, is wrapped to fit; names and figures stay whole.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(
        headings
            .iter()
            .map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)),
    );
    for column in table.column_iter_mut() {
        column
            .set_padding((0, 2))
            .set_constraint(ColumnConstraint::ContentWidth);
    }
    if let Some(last) = table.column_iter_mut().last() {
        last.remove_constraint();
    }
    table
}

/// The table as text, without blanks at the ends of its lines.
pub(super) fn text(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A cell for a figure.
pub(super) fn figure(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A cell for the state of a backend, and how long it has been so.
pub(super) fn backend_state(backend: &Backend) -> Cell {
    let since = format::seconds(backend.check.changed_seconds_ago);
    coloured(&backend.state, format!("{} {since}", backend.state))
}

/// A cell for the state of a service.
pub(super) fn service_state(state: ServiceState) -> Cell {
    coloured(state.as_str(), state.as_str())
}

/// A cell for the last health check of a backend.
pub(super) fn check(backend: &Backend) -> Cell {
    let check = &backend.check;
    let mut text = check.status.clone();
    if !check.detail.is_empty() {
        text.push_str(": ");
        // The detail may quote a backend, and what a backend says must not reach the terminal as a command.
        text.push_str(&check.detail.replace(char::is_control, " "));
    }
    Cell::new(text)
}

fn coloured(state: &str, text: impl ToString) -> Cell {
    let cell = Cell::new(text);
    match state {
        "up" => cell.fg(Color::Green),
        "degraded" => cell.fg(Color::Yellow),
        "down" => cell.fg(Color::Red),
        _ => cell.fg(Color::Blue),
    }
}
