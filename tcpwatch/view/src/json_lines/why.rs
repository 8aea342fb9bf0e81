//! Members of the lines that say why: retries, resets, errors.

use tcpwatch_core::{
    event::{About, ErrorEvent, ResetDirection, reset_reason},
    timing::Then,
    track::{Reset, Retransmit},
};

use super::{Object, key, write_owner, write_seconds, write_socket, write_state, write_subject};
use crate::words;

pub(super) fn retransmit(line: &mut Object<'_>, again: &Retransmit) {
    let Retransmit {
        at: _,
        ref subject,
        state,
        segment,
        attempt,
        early,
        since_last,
        expected,
        next,
        most,
        sent,
    } = *again;
    write_subject(line, subject);
    line.word(key!("kind"), segment.word());
    line.number(key!("attempt"), attempt);
    write_seconds(line, key!("since_last_s"), since_last);
    write_state(line, key!("state"), state);
    if let Some(expected) = expected {
        line.seconds(key!("expected_s"), expected);
    }
    if early {
        line.yes(key!("early"));
    }
    if !sent {
        line.yes(key!("not_sent"));
    }
    if let Some(next) = next {
        let (soonest, latest) = match next.then {
            Then::Attempt | Then::Either => ("next_in_s", "next_in_at_most_s"),
            Then::GivesUp => ("gives_up_in_s", "gives_up_in_at_most_s"),
        };
        line.seconds(soonest, next.wait.promise);
        line.seconds(latest, next.wait.latest);
    }
    if let Some(most) = most {
        line.number(key!("attempts_at_most"), most);
    }
}

pub(super) fn reset(line: &mut Object<'_>, reset: &Reset) {
    write_socket(line, &reset.subject);
    write_owner(line, &reset.subject);
    let direction = match reset.direction {
        ResetDirection::Sent => "sent",
        ResetDirection::Received => "received",
    };
    line.word(key!("direction"), direction);
    match reset.state {
        Some(state) => write_state(line, key!("state"), state),
        None => line.null(key!("state")),
    }
    match &reset.why {
        Some(why) => line.bytes(key!("why"), why.as_bytes()),
        None => line.null(key!("why")),
    }
    if let Some(meaning) = reset.why.as_deref().and_then(reset_reason::meaning) {
        line.word(key!("meaning"), meaning);
    }
}

pub(super) fn error(line: &mut Object<'_>, about: &About<ErrorEvent>) {
    let About { subject, event: error } = about;
    write_subject(line, subject);
    write_state(line, key!("state"), error.state);
    line.number(key!("errno"), error.error);
    line.text(key!("error"), &words::error(error.error));
}
