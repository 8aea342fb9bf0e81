//! The view in a file, as `tcpwatch list` writes it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use tcpwatch_core::{
    event::{Netns, WallClock},
    place::Places,
    track::SocketNow,
};
use tcpwatch_kernel::source::snapshot;
use tcpwatch_view::{
    json_lines::JsonLines,
    terminal::{ListTable, TableLayout, TimeStyle},
};

use crate::screen::Screen;

/// Writes the sockets of the view to a new file: JSON lines if its name ends so, else a table. Returns how many.
///
/// # Errors
/// If there is such a file, or it cannot be written.
pub(crate) fn write(path: &Path, screen: &mut Screen) -> io::Result<usize> {
    let mut places = Places::default();
    let mut rows = Vec::new();
    for (row, place) in screen.view() {
        if let Some((cgroup, place)) = row.subject.cgroup.zip(place) {
            places.learn(cgroup, Some(place));
        }
        rows.push(row);
    }
    let clock = screen.origin.clock;
    let is_json = path.extension().is_some_and(|end| end == "json" || end == "jsonl");
    let text =
        if is_json { lines(&rows, &mut places, &clock) } else { table(&rows, &mut places, screen) };
    let mut file = File::create_new(path)?;
    file.write_all(&text)?;
    Ok(rows.len())
}

fn lines(rows: &[SocketNow], places: &mut Places, clock: &WallClock) -> Vec<u8> {
    let (mut lines, mut text) = (JsonLines::default(), Vec::new());
    for row in rows {
        let place = row.subject.cgroup.and_then(|id| places.get(id)).cloned();
        lines.listed(row, place.as_deref(), clock, &mut text);
    }
    text
}

fn table(rows: &[SocketNow], places: &mut Places, screen: &Screen) -> Vec<u8> {
    let clock = screen.origin.clock;
    let time = if screen.origin.times.is_utc() { TimeStyle::Utc } else { TimeStyle::Local };
    let layout = TableLayout { color: false, time, width: None, started: clock.kernel };
    let nameless = |_: Netns| None;
    let naming = if screen.origin.recording { nameless } else { snapshot::name_of };
    let mut text = Vec::new();
    ListTable::new(layout, &clock, naming).write(rows, places, &mut text);
    text
}
