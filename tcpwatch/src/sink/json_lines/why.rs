//! Members of the lines that say why: retries, resets, errors.

use super::{Object, write_owner, write_seconds, write_socket, write_state, write_subject};
use crate::{
    event::ResetDirection,
    sink::words,
    timing::Then,
    track::{Reset, Retransmit, SocketError},
};

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
    line.word("kind", segment.word());
    line.number("attempt", attempt);
    write_seconds(line, "since_last_s", since_last);
    write_state(line, "state", state);
    if let Some(expected) = expected {
        line.seconds("expected_s", expected);
    }
    if early {
        line.yes("early");
    }
    if !sent {
        line.yes("not_sent");
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
        line.number("attempts_at_most", most);
    }
}

pub(super) fn reset(line: &mut Object<'_>, reset: &Reset) {
    write_socket(line, &reset.subject);
    write_owner(line, &reset.subject);
    let direction = match reset.direction {
        ResetDirection::Sent => "sent",
        ResetDirection::Received => "received",
    };
    line.word("direction", direction);
    match reset.state {
        Some(state) => write_state(line, "state", state),
        None => line.null("state"),
    }
    match &reset.why {
        Some(why) => line.word("why", why),
        None => line.null("why"),
    }
}

pub(super) fn error(line: &mut Object<'_>, error: &SocketError) {
    write_subject(line, &error.subject);
    write_state(line, "state", error.state);
    line.number("errno", error.error);
    line.text("error", &words::error(error.error));
}
