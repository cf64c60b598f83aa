//! What was measured, as tables for people and JSON for programs.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use comfy_table::{Cell, CellAlignment, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::machine::Machine;

/// All that one run measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What.
    pub tables: Vec<Table>,
}

/// Figures of one kind.
#[derive(Debug)]
pub struct Table {
    /// Its name in the JSON.
    pub name: &'static str,
    /// One line over it.
    pub title: String,
    /// How to read it, and how it was measured.
    pub notes: Vec<String>,
    /// What the figures of a row are.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What one figure of each row is.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in the JSON, with its unit.
    pub key: String,
    /// Its heading, with its unit.
    pub heading: String,
    /// Digits after the point.
    pub digits: usize,
}

/// A row of figures.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// One for each column, where there is one.
    pub figures: Vec<Option<f64>>,
}

impl Column {
    fn new(key: &str, heading: &str, digits: usize) -> Self {
        Self {
            key: key.to_owned(),
            heading: heading.to_owned(),
            digits,
        }
    }
}

/// Columns from key, heading and digits of each.
#[must_use]
pub fn columns(columns: &[(&str, &str, usize)]) -> Vec<Column> {
    columns
        .iter()
        .map(|(key, heading, digits)| Column::new(key, heading, *digits))
        .collect()
}

impl Row {
    /// A row of the table.
    #[must_use]
    pub fn new(name: impl Into<String>, figures: impl Into<Vec<Option<f64>>>) -> Self {
        Self {
            name: name.into(),
            figures: figures.into(),
        }
    }
}

impl Table {
    /// Prints the table on standard output.
    pub fn print(&self) {
        println!("\n{}", self.title);
        println!("{}", self.grid());
        for note in &self.notes {
            println!("  {note}");
        }
    }

    fn grid(&self) -> comfy_table::Table {
        let mut grid = comfy_table::Table::new();
        grid.load_style(presets::ASCII_MARKDOWN);
        let headings = self.columns.iter().map(|column| column.heading.clone());
        grid.set_header([String::new()].into_iter().chain(headings));
        for row in &self.rows {
            let figures = row.figures.iter().zip(&self.columns).map(|(figure, column)| {
                let text = figure.map_or_else(String::new, |figure| format!("{figure:.0$}", column.digits));
                Cell::new(text).set_alignment(CellAlignment::Right)
            });
            grid.add_row([Cell::new(&row.name)].into_iter().chain(figures));
        }
        grid
    }
}

/// A row is an object, its figures under the keys of their columns.
impl Serialize for Table {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.rows.iter().map(|row| {
            let mut object = Map::new();
            object.insert("row".to_owned(), row.name.clone().into());
            for (column, figure) in self.columns.iter().zip(&row.figures) {
                object.insert(column.key.clone(), figure.map_or(Value::Null, Value::from));
            }
            Value::Object(object)
        });
        let rows: Vec<_> = rows.collect();
        json!({ "name": self.name, "title": self.title, "notes": self.notes, "rows": rows })
            .serialize(serializer)
    }
}

impl Report {
    /// Writes the report as JSON.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}
