//! The text of cells.

use std::time::Duration;

use tcpwatch_core::{
    event::{Direction, Endpoint, KernelTime, TcpState},
    place::CgroupPlace,
    track::{AcceptQueue, Reason},
};
pub(super) use tcpwatch_view::words::cut;
use tcpwatch_view::{terminal::Humane, words::wait_words};

use crate::row::SocketRow;

/// `0.4 s`, `61.6 s`, `12m03s`, `3d04h`: at most 6 columns.
pub(super) fn age(time: Duration) -> String {
    match time.as_secs() {
        0..100 => {
            let tenths = time.as_millis() / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        seconds @ 8_640_000.. => format!("{}d", seconds / 86_400),
        _ => Humane(Some(time)).to_string(),
    }
}

/// `201`, `12k`, `262k`, `1.2M`: at most 4 columns.
pub(super) fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..10_000_000 => {
            format!("{}.{}M", count / 1_000_000, count / 100_000 % 10)
        }
        _ => format!("{}M", (count / 1_000_000).min(999)),
    }
}

/// `201`, `9.9k`, `12M`: bytes in at most 4 columns.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..10_000 => format!("{}.{}k", count / 1000, count / 100 % 10),
        10_000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..1_000_000_000 => format!("{}M", count / 1_000_000),
        1_000_000_000..1_000_000_000_000 => format!("{}G", count / 1_000_000_000),
        _ => format!("{}T", (count / 1_000_000_000_000).min(999)),
    }
}

/// Text of others: one column a character, and nothing that a terminal obeys.
pub(super) fn foreign(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// Cut at its end to so many columns.
pub(super) fn cut_end(text: String, room: usize) -> String {
    if text.chars().count() <= room {
        return text;
    }
    let head: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{head}\u{2026}")
}

/// The local end, where there is little room: its port.
pub(super) fn port(end: &Endpoint) -> String {
    if end.port == 0 { "-".to_owned() } else { format!(":{}", end.port) }
}

/// Who connected to whom.
pub(super) const fn arrow(row: &SocketRow) -> &'static str {
    match row.subject.direction {
        Some(Direction::Outgoing) => "\u{2192}",
        Some(Direction::Incoming) => "\u{2190}",
        Some(Direction::Both) => "x",
        None => " ",
    }
}

/// The owner and where it runs; `?` behind the process of the listener, which is a guess.
pub(super) fn owner(row: &SocketRow, place: Option<&CgroupPlace>, room: usize) -> String {
    let guess = if row.subject.inherited { "?" } else { "" };
    let Some(process) = row.owner() else {
        return cut(place.and_then(whereabouts).map_or_else(|| "-".to_owned(), foreign), room);
    };
    let name = foreign(&process.comm.to_string());
    let pid = process.pid.map_or(String::new(), |pid| format!(" {pid}"));
    let whole = format!("{name}{pid}{guess}");
    let place = place.and_then(whereabouts).map(|word| format!("{whole} in {}", foreign(word)));
    if let Some(place) = place.filter(|text| text.chars().count() <= room) {
        return place;
    }
    if whole.chars().count() <= room {
        return whole;
    }
    cut(name, room.saturating_sub(guess.len())) + guess
}

fn whereabouts(place: &CgroupPlace) -> Option<&str> {
    if let Some(container) = &place.container {
        return Some(container.short());
    }
    place.unit_name()
}

/// For what a socket waits, or how it ended.
pub(super) fn waits_for(row: &SocketRow, now: KernelTime) -> String {
    if let Some(ended) = row.ended {
        let ago = age(now.since(ended.at));
        let how = ended.reason.map_or("ended", Reason::word).replace('_', " ");
        return format!("{how}, {ago} ago");
    }
    if let Some(AcceptQueue { waiting: waiting @ 1.., most }) = row.queue {
        return format!("accept() {waiting}/{most}");
    }
    if let Some(waits_for) = row.wait.and_then(|(_, wait)| wait.waits_for) {
        return wait_words(waits_for).to_owned();
    }
    let words = match row.state {
        // The kernel was not asked yet which of the two.
        TcpState::CloseWait => "accept()/close()",
        TcpState::Established if row.tries(now) > 0 => "ACK of data",
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => "ACK of its FIN",
        _ => row.waits_by_state().map_or("-", wait_words),
    };
    words.to_owned()
}

/// Retransmissions in a row, of how many.
pub(super) fn tries(row: &SocketRow, now: KernelTime) -> String {
    match (row.tries(now), row.most) {
        (0, _) => "-".to_owned(),
        (tries, Some(most)) => format!("{tries}/{most}"),
        (tries, None) => tries.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_six_columns_and_a_count_four() {
        for seconds in [0, 9, 99, 100, 3599, 3600, 86_399, 86_400, 8_639_999, 9_000_000] {
            let text = age(Duration::from_secs(seconds));
            assert!(text.len() <= 6, "{text}");
        }
        for (count, text) in [
            (9999, "9999"),
            (10_000, "10k"),
            (262_144, "262k"),
            (1_250_000, "1.2M"),
            (u64::MAX, "999M"),
        ] {
            assert_eq!(short(count), text);
        }
    }

    #[test]
    fn an_address_is_cut_in_the_middle() {
        assert_eq!(cut("203.0.113.15:61043".into(), 14), "203.0.\u{2026}5:61043");
        assert_eq!(cut("abc".into(), 3), "abc");
        assert_eq!(cut("abcd".into(), 1), "\u{2026}");
    }
}
