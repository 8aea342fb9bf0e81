//! The table of sockets.

use ratatui_core::layout::Rect;
use tcpwatch_core::{event::KernelTime, track::Reason};
use tcpwatch_view::terminal::Humane;

use super::{canvas::Canvas, look, text};
use crate::{
    measured::Measured,
    order::SortBy,
    row::{RowId, SocketRow},
    screen::Screen,
};

/// Columns of a table from which on it has numbers.
const NUMBERS_COLUMNS: u16 = 130;
/// Columns of round-trip time, bytes sent and bytes received.
const NUMBERS: u16 = 8 + 5 + 5;

/// Where the columns are, and how wide: it depends on the width of the table alone.
struct TableColumns {
    age: u16,
    waits: u16,
    until: u16,
    /// Digits of the second.
    digits: usize,
    /// There is none where there is little room.
    tries: Option<u16>,
    local: u16,
    arrow: u16,
    remote: u16,
    /// Round-trip time, and bytes each way: only where there is much room.
    numbers: Option<u16>,
    owner: u16,
    end: u16,
}

impl TableColumns {
    fn of(width: u16) -> Self {
        let (age, waits) = (13, 22);
        let narrow = width < 92;
        let until = waits + 18;
        let until_end = until + if narrow { 9 } else { 11 };
        let tries = (!narrow).then_some(until_end);
        let local = until_end + if narrow { 0 } else { 6 };
        // The rest: two addresses and the owner.
        let rest = width.saturating_sub(local + 2);
        let (local_width, remote_width) = if narrow {
            (7, 15.min(rest.saturating_sub(13)))
        } else {
            let numbers = if width >= NUMBERS_COLUMNS { NUMBERS } else { 0 };
            // IPv6 in brackets with its port has 47.
            let address = (rest.saturating_sub(14 + numbers) / 2).clamp(14, 48);
            (address, address)
        };
        let arrow = local + local_width;
        let remote = arrow + 2;
        let numbers = (width >= NUMBERS_COLUMNS).then_some(remote + remote_width);
        let owner = remote + remote_width + numbers.map_or(0, |_| NUMBERS);
        let digits = usize::from(!narrow);
        Self { age, waits, until, digits, tries, local, arrow, remote, numbers, owner, end: width }
    }

    fn titles(&self) -> Vec<(u16, SortBy)> {
        let mut titles = vec![
            (1, SortBy::State),
            (self.age + 4, SortBy::Age),
            (self.until, SortBy::Until),
            (self.local, SortBy::Port),
            (self.remote, SortBy::Peer),
            (self.owner, SortBy::Owner),
        ];
        titles.extend(self.tries.map(|x| (x, SortBy::Tries)));
        titles
    }
}

/// Draws titles and rows.
pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let columns = TableColumns::of(area.width);
    titles(screen, canvas, &columns, area.y);
    let room = area.height - 1;
    screen.first_row = area.y + 1;
    let rows = screen.fill(room.into());
    let now = screen.shown().sockets.now;
    for (y, id) in (area.y + 1..).zip(&rows) {
        let selected = screen.selected == Some(*id);
        let Some(row) = screen.shown().sockets.get(*id).cloned() else { continue };
        draw_row(screen, canvas, &columns, y, (*id, &row, now));
        if selected {
            canvas.paint(0, y, columns.end, look::SELECTED);
            canvas.put(0, y, "\u{258c}", look::SELECTED);
        }
    }
    if rows.is_empty() {
        let nothing = if screen.shown().order.is_filtered() {
            "no socket is in the view: / and an empty line show all"
        } else {
            "no socket is there yet"
        };
        canvas.put_within(1, area.y + 2, nothing, columns.end.saturating_sub(1), look::DIM);
    }
}

fn titles(screen: &mut Screen, canvas: &mut Canvas<'_>, columns: &TableColumns, y: u16) {
    let order = &screen.shown().order;
    let (by, reversed) = (order.by(), order.reversed);
    canvas.put(columns.waits, y, "WAITS FOR", look::BOLD);
    if let Some(x) = columns.numbers {
        canvas.put_right(x + 7, y, "RTT", look::BOLD);
        canvas.put_right(x + 12, y, "SENT", look::BOLD);
        canvas.put_right(x + 17, y, "RECV", look::BOLD);
    }
    for (x, column) in columns.titles() {
        let x = canvas.put(x, y, column.title(), look::BOLD);
        if column == by {
            canvas.put(x, y, if reversed { "\u{25b2}" } else { "\u{25bc}" }, look::BOLD);
        }
    }
}

fn draw_row(
    screen: &mut Screen,
    canvas: &mut Canvas<'_>,
    columns: &TableColumns,
    y: u16,
    (id, row, now): (RowId, &SocketRow, KernelTime),
) {
    let gone = row.ended.is_some();
    let failed = row.ended.and_then(|ended| ended.reason).is_some_and(Reason::is_failure);
    let style = match (failed, gone) {
        (true, _) => look::failure(),
        (_, true) => look::DIM,
        _ => look::state(row.state),
    };
    let plain = if gone { style } else { look::PLAIN };
    let cell = |canvas: &mut Canvas<'_>, x: u16, end: u16, text: &str, style| {
        canvas.put_within(x, y, text, end.saturating_sub(x + 1), style);
    };
    let state = if gone { "CLOSED".to_owned() } else { row.state.to_string() };
    cell(canvas, 1, columns.age, &state, style);
    if !gone {
        let bound = if row.age.seen { "" } else { ">" };
        let age = format!("{bound}{}", text::age(row.in_state(now)));
        canvas.put_right(columns.waits - 1, y, &age, plain);
    }
    let mut waits = text::waits_for(row, now);
    if columns.tries.is_none() && row.tries(now) > 0 && !gone {
        waits = format!("{waits}, {}", text::tries(row, now));
    }
    // What is gone has no deadline.
    let waits_end = if gone { columns.local } else { columns.until };
    cell(canvas, columns.waits, waits_end, &waits, plain);
    let until = row.until(now);
    if !gone {
        let time = until.map_or_else(
            || "-".to_owned(),
            |until| {
                let unix_ns = screen.origin.clock.unix_ns(until.at);
                screen.origin.times.text(unix_ns, columns.digits)
            },
        );
        cell(canvas, columns.until, columns.local, &time, plain);
        if let Some(x) = columns.tries {
            cell(canvas, x, columns.local, &text::tries(row, now), plain);
        }
    }
    let ends = &row.subject.ends;
    let room = |x: u16, end: u16| usize::from(end.saturating_sub(x + 1));
    let local = if columns.tries.is_some() {
        text::cut(ends.local.to_string(), room(columns.local, columns.arrow))
    } else {
        text::port(&ends.local)
    };
    cell(canvas, columns.local, columns.arrow, &local, plain);
    canvas.put(columns.arrow, y, text::arrow(row), plain);
    let remote_end = columns.numbers.unwrap_or(columns.owner);
    let remote = text::cut(ends.remote.to_string(), room(columns.remote, remote_end));
    cell(canvas, columns.remote, remote_end, &remote, plain);
    if let Some(x) = columns.numbers.filter(|_| !gone) {
        numbers(screen.measured.get(&id), canvas, (x, y));
    }
    let place = screen.shown().sockets.place(&row.subject);
    let owner = text::owner(row, place.as_deref(), room(columns.owner, columns.end + 1));
    canvas.put_within(columns.owner, y, &owner, columns.end.saturating_sub(columns.owner), plain);
}

/// Round-trip time and bytes, each at the right edge of its column.
fn numbers(measured: Option<&Measured>, canvas: &mut Canvas<'_>, (x, y): (u16, u16)) {
    let bytes = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), text::bytes);
    let rtt = measured.and_then(|it| it.rtt);
    let rtt = rtt.map_or_else(|| "-".to_owned(), |rtt| Humane(Some(rtt)).to_string());
    canvas.put_right(x + 7, y, &rtt, look::PLAIN);
    canvas.put_right(x + 12, y, &bytes(measured.and_then(|it| it.sent)), look::PLAIN);
    canvas.put_right(x + 17, y, &bytes(measured.and_then(|it| it.received)), look::PLAIN);
}
