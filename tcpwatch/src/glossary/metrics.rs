//! Metrics, from their documentation, which is in the words of the page that Prometheus reads.

use super::GlossaryEntry;

const DOCUMENTATION: &str = include_str!("../../../deploy/METRICS.md");

/// One page for each row of the table.
pub(super) fn pages() -> Vec<GlossaryEntry> {
    DOCUMENTATION.lines().filter_map(page).collect()
}

/// `| name | kind | labels | is |`
fn page(row: &str) -> Option<GlossaryEntry> {
    let mut cells = row.strip_prefix("| `")?.split(" | ").map(str::trim);
    let name = cells.next()?.trim_end_matches('`').to_owned();
    let (kind, labels, is) = (cells.next()?, cells.next()?, cells.next()?);
    let labels = labels.replace('`', "");
    let parts = if labels.is_empty() { Vec::new() } else { vec![("labels", labels.into())] };
    let is = is.trim_end_matches('|').trim_end();
    let short = name.trim_start_matches("tcpwatch_").to_owned();
    let words = vec![name.into(), short.into()];
    Some(GlossaryEntry { kind: "metric", words, what: format!("{is}\nA {kind}."), parts })
}
