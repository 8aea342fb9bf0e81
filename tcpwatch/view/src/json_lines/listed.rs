//! Lines about the sockets that exist: `tcpwatch list`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{event::WallClock, place::CgroupPlace, track::SocketNow};

#[cfg(test)]
use super::schema;
use super::{JsonLines, place::Located, still::StillLine, values::StateJson};
use crate::json::{Seconds, Word};

/// What these lines are called.
pub(super) const LISTED: &str = "listed";

/// A socket as it was when the kernel was asked about it: a line of tcpwatch list; or as tcpwatch top showed it: a line
/// of a file that it has written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct ListedLine {
    /// How long it is in its state, at least; null when nothing shows it.
    age_s: Option<Seconds>,
    /// And at most. Absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    age_at_most_s: Option<Seconds>,
    /// How that is known. seen: the state was seen to begin (top); timer: the timer of TIME_WAIT has run so long, exactly; schedule: so many retransmissions
    /// take so long; bound: at least so long, because no segment came since, or because the timer must have run
    /// before; null when it is not known.
    #[cfg_attr(test, schemars(schema_with = "schema::age_basis"))]
    age_basis: Option<Word>,
    /// When its timer is due; null when none runs. The kernel's timers may be late.
    #[cfg_attr(test, schemars(schema_with = "schema::time_or_null"))]
    until: Option<String>,
    /// Which timer runs; absent when none does, and where top does not know it. retransmit: a segment will be sent again; keepalive: a keepalive
    /// probe, or the end of `FIN_WAIT_2` of an orphan; `time_wait`: the end of a timewait mini-socket; `window_probe`: a
    /// probe of the peer's closed window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::timer"))]
    timer: Option<Word>,
    /// How long that timer has to run; zero when it is overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    timer_left_s: Option<Seconds>,
    /// How often what that timer sends was sent without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    tries: Option<u32>,
    /// Of a SYN or SYN+ACK, after how many the kernel gives up, by its sysctls; `TCP_SYNCNT` may say another number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    tries_max: Option<u32>,
    /// Of a listener, the connections that wait to be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    accept_queue: Option<u32>,
    /// Their limit: the smaller of the argument of `listen()` and somaxconn. One connection more is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    accept_queue_max: Option<u32>,
}

impl JsonLines {
    /// Appends the line about a socket that exists, which runs in this place.
    pub fn listed(
        &mut self,
        row: &SocketNow,
        place: Option<&CgroupPlace>,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        let until = row.until().map(|until| self.moment(until, clock));
        let SocketNow { at, ref subject, state, age, timer, most_tries, accept_queue, .. } = *row;
        self.write(LISTED, at, clock, out, |line| {
            line.socket(subject);
            line.add(&StillLine::now(StateJson(state), at, &row.wait));
            line.add(&ListedLine {
                age_s: age.at_least().map(Seconds),
                age_at_most_s: age.at_most().map(Seconds),
                age_basis: age.basis().map(Word),
                until,
                timer: timer.map(|timer| Word(timer.kind.word())),
                timer_left_s: timer.map(|timer| Seconds(timer.left)),
                tries: timer.map(|timer| timer.tries.into()),
                tries_max: most_tries,
                accept_queue: accept_queue.map(|queue| queue.waiting),
                accept_queue_max: accept_queue.map(|queue| queue.most),
            });
            if let Some(place) = place {
                line.add(&Located::at(place));
            }
        });
    }
}
