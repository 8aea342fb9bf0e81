//! The owner of a socket, and where it comes from.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look, text};
use crate::screen::Screen;

/// The column at which texts begin.
const TEXT: u16 = 14;

pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let hidden = screen.owner_lines.len().saturating_sub(area.height.into());
    screen.scrolled = screen.scrolled.min(hidden);
    let lines = screen.owner_lines.iter().skip(screen.scrolled);
    for (y, (what, line)) in (area.y..area.y + area.height).zip(lines) {
        canvas.put_within(1, y, what, TEXT - 2, look::DIM);
        let room = area.width.saturating_sub(TEXT);
        let line = text::cut_end(text::foreign(line), room.into());
        canvas.put_within(TEXT, y, &line, room, look::PLAIN);
    }
}
