//! Two reports beside each other: whether a machine says the same twice.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::report::{Report, Row, Table, columns};

/// How far a figure may be from the earlier one, as a part of it.
const TOLERANCE: f64 = 0.1;

/// The figures of an earlier report.
pub struct Earlier {
    /// By table and row.
    rows: BTreeMap<(String, String), Map<String, Value>>,
}

/// What two reports have in common.
#[derive(Debug)]
pub struct Comparison {
    /// Rows that are in both.
    pub common: usize,
    /// Those whose first figures differ by more than a tenth.
    pub differing: Vec<Row>,
}

impl Earlier {
    /// Reads a report that [`Report::write`] wrote.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no report of this bench", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Tables {
            tables: Vec<Rows>,
        }
        #[derive(Deserialize)]
        struct Rows {
            name: String,
            rows: Vec<Map<String, Value>>,
        }
        let Tables { tables } = serde_json::from_str(text)?;
        let mut rows = BTreeMap::new();
        for table in tables {
            for row in table.rows {
                let name = row.get("row").and_then(Value::as_str);
                let name = name.context("a row has no name")?.to_owned();
                rows.insert((table.name.clone(), name), row);
            }
        }
        Ok(Self { rows })
    }

    /// Compares the first figure of each row, which is the one that counts, where both reports have it.
    #[must_use]
    pub fn compare(&self, report: &Report) -> Comparison {
        let mut comparison = Comparison {
            common: 0,
            differing: Vec::new(),
        };
        let rows = report
            .tables
            .iter()
            .flat_map(|table| table.rows.iter().map(move |row| (table, row)));
        for (table, row) in rows {
            let now = row.figures.first().copied().flatten();
            let Some((earlier, now)) = self.figure(table, row).zip(now) else {
                continue;
            };
            comparison.common += 1;
            if (now - earlier).abs() > TOLERANCE * earlier.abs() {
                let name = format!("{}: {}", table.name, row.name);
                let figures = [earlier, now, 100.0 * (now / earlier - 1.0)];
                comparison.differing.push(Row::new(name, figures.map(Some)));
            }
        }
        comparison
    }

    /// What the first figure of a row was.
    fn figure(&self, table: &Table, row: &Row) -> Option<f64> {
        let earlier = self.rows.get(&(table.name.to_owned(), row.name.clone()))?;
        earlier.get(&table.columns.first()?.key)?.as_f64()
    }
}

impl Comparison {
    /// Whether no row differs, and there is one at all.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.common > 0 && self.differing.is_empty()
    }

    /// Prints the rows that differ, after how many agree.
    pub fn print(&self) {
        let agreeing = self.common - self.differing.len();
        let title = format!(
            "{agreeing} of {} rows are within {:.0} % of the earlier report",
            self.common,
            100.0 * TOLERANCE
        );
        if self.differing.is_empty() {
            println!("\n{title}");
            return;
        }
        let table = Table {
            name: "comparison",
            title: title + "; the others:",
            notes: Vec::new(),
            columns: columns(&[
                ("earlier", "earlier", 2),
                ("now", "now", 2),
                ("change_percent", "%", 0),
            ]),
            rows: self.differing.clone(),
        };
        table.print();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::machine::Machine;

    fn report(figures: &[(&str, Option<f64>)]) -> Report {
        let rows = figures
            .iter()
            .map(|(name, figure)| Row::new(*name, [*figure, Some(1.0)]));
        Report {
            machine: Machine::new().unwrap(),
            tables: vec![Table {
                name: "packet",
                title: String::new(),
                notes: Vec::new(),
                columns: columns(&[("net_ns", "ns", 1), ("median_ns", "ns", 1)]),
                rows: rows.collect(),
            }],
        }
    }

    fn earlier(report: &Report) -> Earlier {
        Earlier::parse(&serde_json::to_string(report).unwrap()).unwrap()
    }

    #[test]
    fn rows_differ_by_more_than_a_tenth_or_agree() {
        let earlier = earlier(&report(&[
            ("same", Some(10.0)),
            ("slower", Some(10.0)),
            ("faster", Some(10.0)),
        ]));
        let now = report(&[
            ("same", Some(10.9)),
            ("slower", Some(11.1)),
            ("faster", Some(8.9)),
        ]);

        let comparison = earlier.compare(&now);

        let differing: Vec<_> = comparison.differing.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(differing, ["packet: slower", "packet: faster"]);
        assert_eq!(comparison.common, 3);
        assert!(!comparison.agrees());
    }

    #[test]
    fn only_rows_that_both_have_are_compared() {
        let earlier = earlier(&report(&[
            ("gone", Some(1.0)),
            ("empty", None),
            ("both", Some(1.0)),
        ]));

        let comparison = earlier.compare(&report(&[
            ("new", Some(2.0)),
            ("empty", Some(2.0)),
            ("both", Some(1.0)),
        ]));

        assert_eq!(comparison.common, 1);
        assert!(comparison.agrees());
    }

    #[test]
    fn nothing_in_common_is_no_agreement() {
        let earlier = earlier(&report(&[("gone", Some(1.0))]));
        assert!(!earlier.compare(&report(&[("new", Some(1.0))])).agrees());
    }

    #[test]
    fn another_document_is_refused() {
        assert!(Earlier::parse("{}").is_err());
    }
}
