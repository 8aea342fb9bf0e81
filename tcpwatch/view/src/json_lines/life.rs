//! Members of the line that tells a connection's life.

use tcpwatch_core::{
    event::Totals,
    track::{Connection, MissedChange},
};

use super::{Object, key, queue, write_seconds, write_state, write_subject};

/// `opened` is the moment of [`Connection::opened`] as text.
pub(super) fn connection(line: &mut Object<'_>, connection: &Connection, opened: Option<&str>) {
    write_subject(line, &connection.subject);
    match (opened, connection.opened) {
        (Some(text), Some(moment)) => {
            line.spelled(key!("opened"), |out| out.extend_from_slice(text.as_bytes()));
            line.number(key!("opened_mono_ns"), moment.0);
        }
        _ => line.null(key!("opened")),
    }
    write_seconds(line, key!("lasted_s"), connection.lasted);
    write_seconds(line, key!("handshake_s"), connection.handshake);
    line.object(key!("states_s"), |states| {
        for (state, time) in connection.spent.iter() {
            if let Some(name) = state.name() {
                states.seconds(name, time);
            }
        }
    });
    match &connection.totals {
        Some(totals) => write_totals(line, totals),
        None => line.null(key!("bytes_sent")),
    }
    line.number(key!("retransmits"), connection.retransmits());
    if connection.not_sent > 0 {
        line.number(key!("not_sent"), connection.not_sent);
    }
    line.object(key!("retries"), |retries| {
        for (segment, count) in connection.again.iter().filter(|(_, count)| *count > 0) {
            retries.number(segment.word(), *count);
        }
    });
    match connection.closed_by {
        Some(by) => line.word(key!("closed_by"), by.word()),
        None => line.null(key!("closed_by")),
    }
    line.word(key!("end"), connection.end.word());
    queue::queue(line, connection.queue.as_deref());
    if let Some(ends_at) = connection.ends_at {
        line.seconds(key!("ends_in_s"), ends_at.since(connection.at));
    }
    if connection.existed {
        line.yes(key!("existing"));
    }
    if !connection.inferred.is_empty() {
        line.array(key!("inferred_changes"), &connection.inferred, |link, out| {
            Object::write(out, |object| write_link(object, *link));
        });
    }
    if connection.end.is_failure() {
        line.yes(key!("failed"));
    }
}

fn write_link(object: &mut Object<'_>, MissedChange { from, to, gap }: MissedChange) {
    write_state(object, key!("from"), from);
    write_state(object, key!("to"), to);
    if gap {
        object.yes(key!("gap"));
    }
}

fn write_totals(line: &mut Object<'_>, totals: &Totals) {
    line.number(key!("bytes_sent"), totals.sent);
    line.number(key!("bytes_received"), totals.received);
    if let Some(undelivered) = totals.undelivered {
        line.number(key!("bytes_undelivered"), undelivered);
    }
    write_seconds(line, key!("srtt_s"), totals.srtt);
    write_seconds(line, key!("min_rtt_s"), totals.min_rtt);
}
