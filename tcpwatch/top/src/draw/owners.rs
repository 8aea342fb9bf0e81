//! The table of owners.

use ratatui_core::layout::Rect;
use tcpwatch_view::grouped;

use super::{canvas::Canvas, look, text};
use crate::screen::Screen;

pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let (name, states) = (10, 42);
    canvas.put(2, area.y, "SOCKETS", look::BOLD);
    canvas.put(name, area.y, "OWNER", look::BOLD);
    canvas.put(states, area.y, "STATES", look::BOLD);
    let room = usize::from(area.height - 1);
    screen.owner = screen.owner.min(screen.shown().order.owners.len().saturating_sub(1));
    let skipped = (screen.owner + 1).saturating_sub(room);
    let selected = screen.owner - skipped;
    let owners = screen.shown().order.owners.page(skipped, room);
    for ((row, y), (owner, holding)) in (0..).zip(area.y + 1..).zip(owners) {
        canvas.put_right(9, y, &grouped(holding.sockets), look::PLAIN);
        let label = text::cut(text::foreign(&owner.name), usize::from(states - name - 1));
        canvas.put(name, y, &label, look::PLAIN);
        let mut x = states;
        for (state, count) in holding.states.values() {
            let text = format!("{state} {}", text::short(*count));
            x = canvas.put(x, y, &text, look::state(*state)).saturating_add(2);
        }
        if row == selected {
            canvas.paint(0, y, area.width, look::SELECTED);
            canvas.put(0, y, "\u{258c}", look::SELECTED);
        }
    }
}
