//! Members of the line that tells a connection's life.

use super::{Object, write_seconds, write_subject};
use crate::{event::Totals, track::Connection};

/// `opened` is the moment of [`Connection::opened`] as text.
pub(super) fn connection(line: &mut Object<'_>, connection: &Connection, opened: Option<&str>) {
    write_subject(line, &connection.subject);
    match (opened, connection.opened) {
        (Some(text), Some(moment)) => {
            line.word("opened", text);
            line.number("opened_mono_ns", moment.0);
        }
        _ => line.null("opened"),
    }
    write_seconds(line, "lasted_s", connection.lasted);
    write_seconds(line, "handshake_s", connection.handshake);
    line.object("states_s", |states| {
        for (state, time) in connection.spent.iter() {
            if let Some(name) = state.name() {
                states.seconds(name, time);
            }
        }
    });
    match &connection.totals {
        Some(totals) => write_totals(line, totals),
        None => line.null("bytes_sent"),
    }
    line.number("retransmits", connection.retransmits());
    line.object("retries", |retries| {
        for (segment, count) in connection.again.iter().filter(|(_, count)| *count > 0) {
            retries.number(segment.word(), *count);
        }
    });
    match connection.closed_by {
        Some(by) => line.word("closed_by", by.word()),
        None => line.null("closed_by"),
    }
    line.word("end", connection.end.word());
    if connection.end.is_failure() {
        line.yes("failed");
    }
}

fn write_totals(line: &mut Object<'_>, totals: &Totals) {
    line.number("bytes_sent", totals.sent);
    line.number("bytes_received", totals.received);
    write_seconds(line, "srtt_s", totals.srtt);
    write_seconds(line, "min_rtt_s", totals.min_rtt);
}
