//! Broken configurations: what is wrong in each, and the one line that says so.

use super::*;

/// One block of a list of broken configurations.
struct Row {
    removed: String,
    added: String,
    complaint: String,
}

impl Row {
    fn read(block: &str) -> Self {
        let behind = |mark: &str| -> String {
            let lines = block.lines().filter_map(|line| line.strip_prefix(mark));
            lines.flat_map(|line| [line, "\n"]).collect()
        };
        Self {
            removed: behind("- "),
            added: behind("+ "),
            complaint: behind("= ").trim_end().to_owned(),
        }
    }
}

#[test]
fn each_is_refused_with_its_place_and_what_to_do() {
    assert_refused(FULL, include_str!("broken.txt"), 90);
    assert_refused(packet_path::EXAMPLE, include_str!("broken_packet_path.txt"), 35);
    assert_refused(checks::EXAMPLE, include_str!("broken_checks.txt"), 35);
}

/// Every change of the list, of which there are at least so many, makes `example` a configuration that is refused
/// as the list says.
fn assert_refused(example: &str, list: &str, at_least: usize) {
    let blocks = list.split("\n\n").filter(|block| !block.starts_with('#'));
    let rows: Vec<Row> = blocks.map(Row::read).collect();
    assert!(rows.len() >= at_least, "{} rows were read", rows.len());
    let is_wrong = |row: &Row| {
        let said = complaint(&changed_in(example, &row.removed, &row.added));
        let Row {
            removed,
            added,
            complaint,
        } = row;
        (said != *complaint).then(|| format!("for\n{removed}instead\n{added}{said}\nand not\n{complaint}\n"))
    };
    let wrong: Vec<String> = rows.iter().filter_map(is_wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_without_services_is_refused() {
    let expected = "1:1: there is no service; add a [[service]] with a name, a bind address and backends";
    assert_eq!(complaint(""), expected);
    assert_eq!(complaint("[global]\n"), expected);
    assert_eq!(complaint("service = []"), expected);
}
