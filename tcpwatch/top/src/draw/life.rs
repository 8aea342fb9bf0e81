//! The life of the selected socket, which goes on into the future.

use ratatui_core::layout::Rect;
use tcpwatch_core::event::KernelTime;

use super::{canvas::Canvas, look, text};
use crate::{future, life::LifeEvent, row::SocketRow, screen::Screen};

/// A line: the time, the text, and how it looks.
type LifeLine = (String, String, ratatui_core::style::Style);

pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let selected = screen.selected;
    let model = screen.shown();
    let now = model.sockets.now;
    let Some(row) = selected.and_then(|id| model.sockets.get(id)).cloned() else {
        canvas.put(area.x + 1, area.y, "no socket is selected", look::DIM);
        return;
    };
    let room = area.width.saturating_sub(1);
    let mut lines = head(screen, &row, room.into());
    let first = row.moments.first().map_or(row.age.since, |moment| moment.at);
    let future = future::of(&row, screen.rules(row.subject.netns));
    let past = past(&row, first);
    // What is now and what is next is not to be lost.
    let left = usize::from(area.height).saturating_sub(lines.len() + 1);
    let ahead = future.len().min((left / 2).max(left.saturating_sub(past.len())));
    let kept = left.saturating_sub(ahead);
    lines.extend(past.iter().skip(past.len().saturating_sub(kept)).cloned());
    if row.ended.is_none() {
        let time = text::age(now.since(first));
        lines.push((time, format!("now, {}", row.state), look::BOLD));
    }
    let hidden = future.len() - ahead;
    // The end is what matters most.
    let (before, end) = future.split_at(ahead.saturating_sub(1).min(future.len()));
    let end = end.last();
    for prospect in before.iter().chain(end) {
        let skipped = hidden > 0 && end.is_some_and(|end| std::ptr::eq(end, prospect));
        let more = if skipped { format!(" ({hidden} left out)") } else { String::new() };
        let time = prospect.at.map_or(String::new(), |at| text::age(at.since(first)));
        lines.push((time, format!("{}{more}", prospect.what), look::DIM));
    }
    for (y, (time, what, style)) in (area.y..area.y + area.height).zip(lines) {
        let end = area.x + 8;
        if time.is_empty() {
            canvas.put_within(area.x + 1, y, &what, room, style);
        } else {
            canvas.put_right(end, y, &time, style);
            canvas.put_within(end + 1, y, &what, area.width.saturating_sub(9), style);
        }
    }
}

/// Who it is.
fn head(screen: &mut Screen, row: &SocketRow, room: usize) -> Vec<LifeLine> {
    let place = screen.shown().sockets.place(&row.subject);
    let cookie = row.subject.socket.map_or_else(|| "-".to_owned(), |it| format!("{:x}", it.0));
    let owner = text::owner(row, place.as_deref(), room.saturating_sub(10 + cookie.len()));
    let ends = &row.subject.ends;
    let pair = format!("{} {} {}", ends.local, text::arrow(row), ends.remote);
    let via = row.owner().map(|owner| {
        let guess = if row.subject.inherited { ", a guess" } else { "" };
        format!("owner known by {}{guess}", owner.via.word())
    });
    let none = String::new;
    let mut lines = vec![
        (none(), format!("life of {cookie}, {owner}"), look::BOLD),
        (none(), text::cut(pair, room), look::PLAIN),
    ];
    lines.extend(via.map(|via| (none(), via, look::DIM)));
    let now = screen.shown().sockets.now;
    let measured = screen.selected.and_then(|id| screen.measured.get(&id));
    let measured = measured.filter(|_| row.ended.is_none()).map(|it| it.lines(now));
    lines.extend(measured.into_iter().flatten().map(|line| (none(), line, look::PLAIN)));
    lines
}

fn past(row: &SocketRow, first: KernelTime) -> Vec<LifeLine> {
    let line = |moment: &LifeEvent| {
        let style = if moment.what.is_odd() { look::failure() } else { look::PLAIN };
        (text::age(moment.at.since(first)), moment.what.text(), style)
    };
    let mut lines: Vec<LifeLine> = row.moments.iter().map(line).collect();
    if row.left_out > 0 && row.gap_behind() < lines.len() {
        let text = format!("{} more", row.left_out);
        lines.insert(row.gap_behind(), ("...".to_owned(), text, look::DIM));
    }
    lines
}
