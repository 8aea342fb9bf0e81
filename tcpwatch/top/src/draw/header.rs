//! The first line: what is looked at, when, and what was lost.

use tcpwatch_view::grouped;

use super::{canvas::Canvas, look, text::cut};
use crate::screen::Screen;

pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, width: u16) {
    let right = right(screen);
    let room = width.saturating_sub(u16::try_from(right.chars().count()).unwrap_or(width) + 3);
    let mode = mode(screen);
    let x = canvas.put_within(1, 0, "tcpwatch top  ", room, look::BOLD);
    let style = if screen.paused.is_some() { look::SELECTED } else { look::BOLD };
    let x = canvas.put_within(x, 0, &mode, room.saturating_sub(x), style);
    let room = room.saturating_sub(x);
    canvas.put_within(x, 0, &what(screen, room.into()), room, look::PLAIN);
    let sockets = &screen.shown().sockets;
    let style = if sockets.lost + sockets.missed > 0 { look::failure() } else { look::PLAIN };
    canvas.put_right(width.saturating_sub(1), 0, &right, style);
}

fn mode(screen: &Screen) -> String {
    let follows = if screen.follow { "  FOLLOW" } else { "" };
    phase(screen) + follows
}

fn phase(screen: &Screen) -> String {
    if let Some(paused) = &screen.paused {
        let since = screen.live().sockets.changes.saturating_sub(paused.changes);
        return format!("PAUSED, {} changes since", grouped(since));
    }
    if screen.origin.recording {
        let progress = screen.progress;
        let word = if progress.playing { "PLAYING" } else { "REPLAY" };
        return format!("{word} {}/{}", progress.event, progress.events);
    }
    "LIVE".to_owned()
}

/// `  port 443  /state:closewait: 29 of 4,213`, or as much of it as there is room for: the numbers in any case.
fn what(screen: &Screen, room: usize) -> String {
    let (in_view, complete, all) = screen.numbers();
    let mut numbers = grouped(all.try_into().unwrap_or(u64::MAX));
    if screen.live().order.is_filtered() {
        let more = if complete { "" } else { ">= " };
        let in_view = grouped(in_view.try_into().unwrap_or(u64::MAX));
        numbers = format!("{more}{in_view} of {numbers}");
    }
    let filters = &screen.origin.filters;
    let words = match screen.filter.as_str() {
        "" => filters.clone(),
        filter => {
            let both = format!("{filters}  /{filter}");
            let fits = both.len() + numbers.len() + 4 <= room;
            if fits { both } else { format!("/{filter}") }
        }
    };
    format!("  {}: {numbers}", cut(words, room.saturating_sub(numbers.len() + 4)))
}

fn right(screen: &mut Screen) -> String {
    let now = screen.shown().sockets.now;
    let time = time(screen, now);
    let sockets = &screen.live().sockets;
    format!("{time}  {} lost  {} missed", grouped(sockets.lost), grouped(sockets.missed))
}

fn time(screen: &mut Screen, at: tcpwatch_core::event::KernelTime) -> String {
    let unix_ns = screen.origin.clock.unix_ns(at);
    let digits = if screen.origin.recording { 3 } else { 0 };
    screen.origin.times.text(unix_ns, digits)
}
