//! Lines of which a page shows a part.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look};

/// Draws what fits of `lines`, each by `draw` with its row, from the place `first` on, which is kept in bounds.
pub(super) fn draw<T>(
    (lines, first): (&[T], &mut usize),
    canvas: &mut Canvas<'_>,
    area: Rect,
    mut draw: impl FnMut(&mut Canvas<'_>, u16, &T),
) {
    let hidden = lines.len().saturating_sub(area.height.into());
    *first = hidden.min(*first);
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(*first)) {
        draw(canvas, y, line);
    }
    if *first < hidden {
        let last = area.y + area.height - 1;
        canvas.put_right(area.width.saturating_sub(1), last, "Down: more", look::BOLD);
    }
}
