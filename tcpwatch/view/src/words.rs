//! Words that more than one form of output uses.

use std::io;

use tcpwatch_core::track::WaitsFor;

/// For what a socket waits, in at most 17 columns.
#[must_use]
pub const fn wait_words(waits_for: WaitsFor) -> &'static str {
    match waits_for {
        WaitsFor::SynAck => "SYN+ACK",
        WaitsFor::HandshakeAck => "ACK of handshake",
        WaitsFor::FirstWrite => "its first write",
        WaitsFor::Window => "window of peer",
        WaitsFor::Acknowledgment => "ACK of peer",
        WaitsFor::PeerFin => "FIN of peer",
        WaitsFor::Accept => "accept() by owner",
        WaitsFor::Close => "close() by owner",
        WaitsFor::Connection => "connections",
        WaitsFor::Timer => "its timer",
    }
}

/// Cut in the middle to so many columns.
#[must_use]
pub fn cut(text: String, room: usize) -> String {
    let length = text.chars().count();
    if length <= room {
        return text;
    }
    let kept = room.saturating_sub(1);
    let (head, tail) = (kept - kept * 3 / 5, kept * 3 / 5);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    format!("{head}\u{2026}{tail}")
}

/// What the system calls an error: `Connection timed out`.
#[must_use]
pub fn error(errno: u16) -> String {
    let text = io::Error::from_raw_os_error(errno.into()).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
