//! The owner of a socket, and where it comes from.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look, scrolled, text};
use crate::screen::Screen;

/// The column at which texts begin.
const TEXT: u16 = 14;

pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let lines = (screen.owner_lines.as_slice(), &mut screen.scrolled);
    scrolled::draw(lines, canvas, area, |canvas, y, (what, line)| {
        canvas.put_within(1, y, what, TEXT - 2, look::DIM);
        let room = area.width.saturating_sub(TEXT);
        let line = text::cut_end(text::foreign(line), room.into());
        canvas.put_within(TEXT, y, &line, room, look::PLAIN);
    });
}
