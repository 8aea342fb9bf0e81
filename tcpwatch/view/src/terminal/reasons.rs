//! Reasons and handshakes in words.

use tcpwatch_core::track::{Change, Handshake, Reason};

/// Why the socket entered CLOSED, in words.
#[must_use]
pub fn change_words(change: &Change) -> Option<&'static str> {
    if change.late_data {
        return Some("reset: data came after close");
    }
    change.reason.and_then(reason_words)
}

/// Why a connection ended, in words; a normal end needs none.
#[must_use]
pub const fn reason_words(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Normal => return None,
        Reason::Canceled => "canceled",
        Reason::GaveUp => "given up without an answer",
        Reason::Refused => "refused",
        Reason::TimedOut => "timed out",
        Reason::ResetReceived => "reset by peer",
        Reason::ResetSent => "reset",
        Reason::Unreachable => "unreachable",
        Reason::NoPort => "no local port left",
        Reason::TupleInUse => "the four-tuple is in use",
        Reason::NotSent => "connect failed before a SYN",
        Reason::Killed => "killed",
        Reason::Timer => "timer",
        Reason::Reused => "reused",
        Reason::ListenerClosed => "listener closed",
        Reason::NeverAccepted => "never accepted",
        Reason::NetnsGone => "netns gone",
        Reason::TimeWaitOverflow => "no room for TIME_WAIT",
        Reason::OutOfMemory => "out of memory or orphans",
        Reason::Repaired => "taken away by TCP_REPAIR",
        Reason::Abandoned => "abandoned",
        Reason::HalfOpen => "handshake given up",
        Reason::HalfClosed => "the peer never closed",
        Reason::Unknown => "unknown end",
    })
}

/// What was unusual about a handshake, in words.
#[must_use]
pub const fn handshake_words(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::FastOpen => "fast open",
        Handshake::SynCookie => "SYN cookie",
    }
}
