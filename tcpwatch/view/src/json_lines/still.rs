//! Members of the lines about sockets that stay in a state.

use tcpwatch_core::{
    event::KernelTime,
    track::{GivesUp, Others, Still, Wait},
};

use super::{Object, key, write_direction, write_owner, write_seconds, write_state, write_subject};

pub(super) fn still(line: &mut Object<'_>, still: &Still) {
    let Still { at, ref subject, state, in_state, at_least, ref wait } = *still;
    write_subject(line, subject);
    write_state(line, key!("state"), state);
    write_seconds(line, key!("in_state_s"), in_state);
    if let Some(at_least) = at_least {
        line.seconds(key!("in_state_at_least_s"), at_least);
    }
    write_wait(line, at, wait);
}

fn write_wait(line: &mut Object<'_>, at: KernelTime, wait: &Wait) {
    match wait.waits_for {
        Some(what) => line.word(key!("waits_for"), what.word()),
        None => line.null(key!("waits_for")),
    }
    if wait.orphan {
        line.yes(key!("orphan"));
    }
    for (name, count) in [
        (key!("bytes_unsent"), wait.unsent),
        (key!("bytes_unacknowledged"), wait.unacknowledged),
        (key!("bytes_unread"), wait.unread),
        (key!("peer_window"), wait.window),
    ] {
        if let Some(count) = count {
            line.number(name, count);
        }
    }
    if let Some(end_read) = wait.end_read {
        line.boolean(key!("end_read"), end_read);
    }
    if let Some(count) = wait.retransmits {
        line.number(key!("sent_again"), count);
    }
    if let Some(probes) = wait.probes {
        line.number(key!("window_probes"), probes.sent);
        if probes.or_more {
            line.yes(key!("window_probes_or_more"));
        }
        line.number(key!("window_probes_unanswered"), probes.unanswered);
    }
    if let Some(left) = wait.next_in {
        line.seconds(key!("next_in_s"), left);
    }
    match wait.gives_up {
        GivesUp::Unknown => {}
        GivesUp::Never => line.null(key!("gives_up_in_s")),
        GivesUp::In(window) => {
            line.seconds(key!("gives_up_in_s"), window.promise);
            line.seconds(key!("gives_up_in_at_most_s"), window.latest);
            line.yes(key!("estimate"));
        }
    }
    if let Some(ends_at) = wait.ends_at {
        line.seconds(key!("ends_in_s"), ends_at.since(at));
        if wait.end_estimated {
            line.yes(key!("estimate"));
        }
    }
}

pub(super) fn others(line: &mut Object<'_>, others: &Others) {
    let subject = others.subject();
    line.number(key!("netns"), subject.netns.0);
    write_direction(line, subject.direction);
    write_owner(line, &subject);
    write_state(line, key!("state"), others.state);
    line.number(key!("more"), others.count);
    line.seconds(key!("after_s"), others.after);
    if others.doubtful {
        line.yes(key!("estimate"));
    }
}
