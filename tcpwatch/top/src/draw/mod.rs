//! What is shown, in cells. What fits where depends on the size of the terminal alone.

mod canvas;
mod findings;
mod footer;
mod header;
mod help;
mod life;
mod look;
mod machine;
mod owners;
mod ownership;
mod table;
mod text;

use ratatui_core::{buffer::Buffer, layout::Rect};

use crate::screen::{Screen, ScreenPage};
use canvas::Canvas;

/// Below this, a sentence.
const LEAST: (u16, u16) = (60, 10);
/// Rows from which on the state machine is shown.
const MACHINE_ROWS: u16 = 16;
/// Columns from which on it is drawn as a diagram.
const DIAGRAM_COLUMNS: u16 = 100;
/// Columns from which on the life of the selected socket is beside the table.
const BESIDE_COLUMNS: u16 = 140;
/// Rows from which on the findings have a pane of their own, below the table.
const PANE_FROM_ROWS: u16 = 40;
/// Columns of that life.
const LIFE_COLUMNS: u16 = 46;

/// Draws the screen.
pub fn draw(screen: &mut Screen, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        canvas.put(0, 0, &too_small(area), look::PLAIN);
    } else {
        whole(screen, &mut canvas, area);
    }
    look::adapt(buffer, screen.theme);
}

fn too_small(area: Rect) -> String {
    let Rect { width, height, .. } = area;
    format!("{width}x{height}: needs {}x{}; q quits", LEAST.0, LEAST.1)
}

fn whole(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    header::draw(screen, canvas, area.width);
    let mut y = 1;
    if area.height >= MACHINE_ROWS && screen.page != ScreenPage::Help {
        y += if area.width >= DIAGRAM_COLUMNS {
            machine::diagram(screen, canvas, y, area.width)
        } else {
            machine::lines(screen, canvas, y)
        };
    }
    let mut bottom = area.height - 1;
    footer::draw(screen, canvas, bottom, area.width);
    if area.height >= PANE_FROM_ROWS && shows_findings(screen) {
        bottom -= findings::PANE_ROWS;
        let pane = Rect { x: 0, y: bottom, width: area.width, height: findings::PANE_ROWS };
        findings::pane(screen, canvas, pane);
    } else if area.height >= MACHINE_ROWS && shows_findings(screen) {
        findings::line(screen, canvas, y, area.width);
        y += 1;
    }
    let body = Rect { x: 0, y, width: area.width, height: bottom.saturating_sub(y) };
    let body = footer::prompt(screen, canvas, body);
    match screen.page {
        ScreenPage::Help => help::draw(screen, canvas, body),
        ScreenPage::Life => life::draw(screen, canvas, body),
        ScreenPage::Finding => findings::whole(screen, canvas, body),
        ScreenPage::Owner => ownership::draw(screen, canvas, body),
        ScreenPage::Copies => help::copies(screen, canvas, body),
        ScreenPage::Owners => owners::draw(screen, canvas, body),
        ScreenPage::Table if body.width >= BESIDE_COLUMNS => {
            let table = Rect { width: body.width - LIFE_COLUMNS, ..body };
            table::draw(screen, canvas, table);
            let beside = Rect { x: table.width, width: LIFE_COLUMNS, ..body };
            canvas.column(beside.x, beside.y, beside.height, "\u{2502}", look::DIM);
            let beside = Rect { x: beside.x + 1, width: beside.width - 1, ..beside };
            life::draw(screen, canvas, beside);
        }
        ScreenPage::Table => table::draw(screen, canvas, body),
    }
}

fn shows_findings(screen: &Screen) -> bool {
    !matches!(screen.page, ScreenPage::Help | ScreenPage::Finding)
}

/// The characters of a buffer, a line for each row, without spaces at their ends.
#[must_use]
pub fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[ratatui_core::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui_core::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    };
    buffer.content.chunks(width).map(line).collect()
}
