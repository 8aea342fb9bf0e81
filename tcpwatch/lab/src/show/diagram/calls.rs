//! Combines a call and its return into one remark, or two if it took long.

use std::time::Duration;

use tcpwatch_core::event::{TcpState, Way};
use tcpwatch_view::terminal::style;

use super::super::grid::ColoredText;
use crate::story::{MomentKind, StoryEvent, SystemCall};

/// A call that took longer gets two remarks.
const LONG: Duration = Duration::from_millis(50);

/// The visible effect of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It makes the socket enter one of these.
    Enters(&'static [TcpState]),
    /// It sends data.
    Sends,
    /// Nothing of that kind.
    None,
}

/// The remark on the call at this index of the story, if there is one.
pub(super) fn remark(story: &[StoryEvent], place: usize) -> Option<ColoredText> {
    let moment = story.get(place)?;
    match &moment.what {
        MomentKind::Called(call) => {
            let later = story.get(place + 1..)?;
            let returned = later.iter().enumerate().find_map(|(after, later)| match &later.what {
                MomentKind::Returned(result)
                    if later.host == moment.host && is_same(call, result) =>
                {
                    Some((place + 1 + after, result))
                }
                _ => None,
            });
            match returned {
                Some((at, result)) if is_one(story, place, at) => Some(text(result)),
                // A call that waits for the peer is shown when it has returned.
                Some(_) if is_waiting(call) => None,
                _ => Some(ColoredText::plain(format!("{} \u{2026}", call.call))),
            }
        }
        MomentKind::Returned(result) => {
            let called = story.get(..place)?.iter().rposition(|before| match &before.what {
                MomentKind::Called(call) => before.host == moment.host && is_same(call, result),
                _ => false,
            });
            let is_shown = called.is_some_and(|called| is_one(story, called, place));
            (!is_shown).then(|| text(result))
        }
        _ => None,
    }
}

/// Whether the call and its return, at these indexes, are shown as one remark. Not if it took long, nor if it waited
/// for a segment: then its result would precede its cause.
fn is_one(story: &[StoryEvent], called: usize, returned: usize) -> bool {
    let (Some(call), Some(result)) = (story.get(called), story.get(returned)) else { return false };
    let mut between = story.iter().take(returned).skip(called);
    let mut has_come = || {
        between.any(|moment| {
            moment.host == call.host
                && matches!(&moment.what, MomentKind::Segment(segment) if segment.way == Way::In)
        })
    };
    let waited = matches!(&call.what, MomentKind::Called(call) if is_waiting(call)) && has_come();
    result.at.since(call.at) < LONG && !waited
}

/// Whether it returns only when the peer has done something.
fn is_waiting(call: &SystemCall) -> bool {
    matches!(call.name.as_str(), "accept" | "recv")
}

/// Is it about a call? Its first word is the call with its arguments.
pub(super) fn is_call(note: &ColoredText) -> bool {
    note.text.split(' ').next().is_some_and(|word| word.contains('('))
}

/// The effect of a call.
pub(super) fn effect(call: &SystemCall) -> Effect {
    match call.name.as_str() {
        "listen" => Effect::Enters(&[TcpState::Listen]),
        "connect" => Effect::Enters(&[TcpState::SynSent]),
        "close" | "shutdown" | "exit" | "_exit" | "reset" => {
            Effect::Enters(&[TcpState::FinWait1, TcpState::LastAck, TcpState::Closed])
        }
        "send" | "sendto" => Effect::Sends,
        _ => Effect::None,
    }
}

fn is_same(called: &SystemCall, returned: &SystemCall) -> bool {
    (&called.socket, &called.name) == (&returned.socket, &returned.name)
}

/// As strace shows it; a result of 0 that only means success is left out.
fn text(call: &SystemCall) -> ColoredText {
    match &call.result {
        Some(Ok(0)) if call.name != "recv" => ColoredText::plain(call.call.clone()),
        Some(Err(_)) => ColoredText::new(call.line(), style::FAILURE),
        Some(Ok(_)) | None => ColoredText::plain(call.line()),
    }
}
