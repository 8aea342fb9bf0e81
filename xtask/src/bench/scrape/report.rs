//! Writes the table of scrapes and the line above it.

use std::time::Duration;

use super::{
    BothExporters, MeasuredScrape,
    load::{Load, TIME_WAITS},
};
use crate::bench::{
    statistics::{median, number},
    table::{CellForm, Table},
};

/// A row: its name, its number, and how the number is formatted.
type ScrapeRow = (&'static str, fn(&MeasuredScrape) -> f64, fn(f64) -> String);

const ROWS: [ScrapeRow; 6] = [
    ("scrape, median", |it| median(&times(it)).unwrap_or_default(), milliseconds),
    ("scrape, longest", |it| times(it).into_iter().fold(0.0, f64::max), milliseconds),
    ("CPU per scrape", |it| it.cpu.as_secs_f64(), milliseconds),
    ("page", |it| number(it.plain_bytes), kilobytes),
    ("page, gzip", |it| number(it.pages.last().map_or(0, |page| page.bytes)), kilobytes),
    ("memory", |it| number(it.resident_bytes), megabytes),
];

fn times(of: &MeasuredScrape) -> Vec<f64> {
    of.pages.iter().map(|page| page.took.as_secs_f64()).collect()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1} kB", bytes / 1e3)
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

pub(super) fn write(
    idle: &BothExporters,
    busy: &BothExporters,
    load: &Load,
    form: CellForm,
) -> String {
    let mut table = Table::new(&["", "tcpwatch serve", "node_exporter", "ratio"]);
    for (condition, measured) in [("idle", idle), ("load", busy)] {
        for row in &ROWS {
            table.push(cells(condition, measured, row));
        }
    }
    let (scrapes, rate) = (idle[0].pages.len(), rate(load));
    format!(
        "{scrapes} scrapes each; load: {rate:.0} connections a second, {TIME_WAITS} sockets in \
         TIME_WAIT\n\n{}",
        table.text(form)
    )
}

fn cells(
    condition: &str,
    [ours, theirs]: &BothExporters,
    (name, of, written): &ScrapeRow,
) -> Vec<String> {
    let (ours, theirs) = (of(ours), of(theirs));
    vec![
        format!("{condition}: {name}"),
        written(ours),
        written(theirs),
        format!("{:.2}", ours / theirs),
    ]
}

fn rate(load: &Load) -> f64 {
    f64::from(load.connections) / load.length.max(Duration::from_millis(1)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::{super::exporter::ScrapedPage, *};

    fn measured(millis: u64) -> MeasuredScrape {
        let page =
            |factor| ScrapedPage { took: Duration::from_millis(factor * millis), bytes: 9000 };
        MeasuredScrape {
            pages: [1, 5, 2].map(page).into(),
            cpu: Duration::from_micros(500),
            plain_bytes: 40_000,
            resident_bytes: 12_000_000,
        }
    }

    #[test]
    fn each_condition_has_every_row_with_its_ratio() {
        let condition = || [measured(2), measured(8)];
        let load = Load { connections: 30_000, length: Duration::from_secs(3) };
        let text = write(&condition(), &condition(), &load, CellForm::Plain);
        assert!(text.starts_with("3 scrapes each; load: 10000 connections a second, "), "{text}");
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(lines.len(), 2 * ROWS.len(), "idle and load: {text}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let expected = ["idle:", "scrape,", "median", "4.0", "ms", "16.0", "ms", "0.25"];
        assert_eq!(words(lines[0]), expected, "{text}");
        let expected = ["load:", "scrape,", "longest", "10.0", "ms", "40.0", "ms", "0.25"];
        assert_eq!(words(lines[ROWS.len() + 1]), expected, "{text}");
    }
}
