//! Story and verdicts of runs become what the reader sees: lines as it happens, the sequence diagram
//! of what was measured, the table of verdicts, one line for many runs at once, and a JSON document.
//! Everything is appended to bytes; who calls writes them.

mod arrow;
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

pub use diagram::diagram;
pub use progress::Progress;
pub use report::{Report, ReportError};
pub use timeline::Timeline;
pub use verdicts::verdicts;

use crate::scenario::Scenario;

/// What the laboratory may assume about its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Colours are wanted.
    pub color: bool,
    /// Columns that a line should not exceed; 100 without a terminal. Below
    /// [`LEAST_WIDTH`](Self::LEAST_WIDTH) it counts as that.
    pub width: usize,
}

impl Layout {
    /// Columns without a terminal.
    pub const USUAL_WIDTH: usize = 100;
    /// What two lifelines, an arrow and the longest state take.
    pub const LEAST_WIDTH: usize = 80;

    const fn columns(self) -> usize {
        if self.width < Self::LEAST_WIDTH { Self::LEAST_WIDTH } else { self.width }
    }
}

/// Appends what stands above a run: its name, title and claim.
pub fn heading(layout: Layout, scenario: &Scenario, out: &mut Vec<u8>) {
    use tcpwatch_view::terminal::style;
    let name = format!("{} \u{b7} {}\n", scenario.name, scenario.title);
    style::paint(anstyle::Style::new().bold(), name.as_bytes(), layout.color, out);
    for line in table::wrapped(&scenario.claim, layout.columns()) {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// A state that a reader looks out for at the end of a run.
const fn is_open(state: TcpState) -> bool {
    !matches!(state, TcpState::Closed | TcpState::Listen)
}
