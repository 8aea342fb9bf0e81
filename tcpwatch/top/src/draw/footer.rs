//! The last line, and the line that is being typed.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look};
use crate::{
    keys::{KEYS, KeyAction, KeyScope},
    screen::{PromptKind, Screen},
};

/// Keys, or something to be said.
pub(super) fn draw(screen: &Screen, canvas: &mut Canvas<'_>, y: u16, width: u16) {
    if let Some(message) = &screen.message {
        canvas.put_within(1, y, message, width.saturating_sub(2), look::BOLD);
        return;
    }
    let mut x = 1;
    let recording = screen.origin.recording;
    let shown = KEYS.iter().filter(|it| recording || it.scope == KeyScope::Always);
    for (binding, word) in shown.filter_map(|it| Some((it, it.footer?))) {
        // How to quit has room in any case.
        let width = if binding.action == KeyAction::Quit { width } else { width.saturating_sub(8) };
        let key = binding.shown.split(' ').next().unwrap_or_default();
        let length = key.chars().count() + word.chars().count() + 3;
        if usize::from(x) + length > usize::from(width) + 2 {
            continue;
        }
        x = canvas.put(x, y, key, look::BOLD);
        x = canvas.put(x + 1, y, word, look::DIM) + 2;
    }
}

/// The line that is being typed, above the last one, with what is wrong below it; returns what is left.
pub(super) fn prompt(screen: &Screen, canvas: &mut Canvas<'_>, body: Rect) -> Rect {
    let Some(prompt) = &screen.prompt else { return body };
    let rows = if prompt.error.is_some() { 2 } else { 1 };
    if body.height < rows {
        return body;
    }
    let y = body.y + body.height - rows;
    let label = match prompt.kind {
        PromptKind::Filter => "filter: ",
        PromptKind::Moment => "to (19:47:08, +1m30s, -5s): ",
        PromptKind::File => "write to (.json for JSON): ",
    };
    let x = canvas.put(1, y, label, look::BOLD);
    let room = usize::from(body.width.saturating_sub(x + 2));
    let length = prompt.text.chars().count();
    let end: String = prompt.text.chars().skip(length.saturating_sub(room)).collect();
    let x = canvas.put(x, y, &end, look::PLAIN);
    canvas.put(x, y, " ", look::SELECTED);
    if let Some(error) = &prompt.error {
        canvas.put_within(1, y + 1, error, body.width.saturating_sub(2), look::failure());
    }
    Rect { height: body.height - rows, ..body }
}
