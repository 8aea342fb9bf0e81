//! Formats the story and the verdicts of runs: lines as it happens, the sequence diagram, the table of verdicts, one
//! line for many runs at once, and a JSON document. Everything is appended to a buffer, which the caller writes.

mod arrow;
mod connections;
mod diagram;
mod grid;
mod progress;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
mod verdicts;
mod words;

use tcpwatch_core::event::TcpState;

pub use arrow::{Fate, Part};
pub use diagram::{DiagramRow, Drawn, Entered, FOLD, diagram, rows};
pub use grid::{ColoredText, Panel, PerHost};
pub use progress::RunProgress;
pub use report::{ReportError, ReportFile, document};
pub(crate) use table::wrapped;
pub use timeline::TimelineWriter;
pub use verdicts::{difference, expected, measured, verdicts};

use crate::scenario::Scenario;

/// Properties of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalLayout {
    /// Whether to use colours.
    pub color: bool,
    /// Maximal width of a line, in columns; 100 without a terminal. A value below [`LEAST_WIDTH`](Self::LEAST_WIDTH)
    /// counts as that.
    pub width: usize,
}

impl TerminalLayout {
    /// Width without a terminal.
    pub const USUAL_WIDTH: usize = 100;
    /// Width of two lifelines, an arrow and the longest state.
    pub const LEAST_WIDTH: usize = 80;

    const fn columns(self) -> usize {
        if self.width < Self::LEAST_WIDTH { Self::LEAST_WIDTH } else { self.width }
    }
}

/// Appends the heading of a run: its name, title and claim.
pub fn heading(layout: TerminalLayout, scenario: &Scenario, out: &mut Vec<u8>) {
    use tcpwatch_view::terminal::style;
    let name = format!("{} \u{b7} {}\n", scenario.name, scenario.title);
    style::paint(anstyle::Style::new().bold(), name.as_bytes(), layout.color, out);
    for line in wrapped(&scenario.claim, layout.columns()) {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Whether a socket in this state at the end of a run is shown as open.
const fn is_open(state: TcpState) -> bool {
    !matches!(state, TcpState::Closed | TcpState::Listen)
}
