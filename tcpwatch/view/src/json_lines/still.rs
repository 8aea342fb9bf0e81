//! Lines about sockets that stay in a state.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{
    event::KernelTime,
    track::{GivesUp, Others, Still, StillFull, Wait},
};

#[cfg(test)]
use super::schema;
use super::{
    Members,
    values::{StateJson, ends_in},
};
use crate::json::{Seconds, Word};

/// A socket that stays in a state: the kernel was asked about it 1 s, 10 s, 1 min, 10 min or 1 h after it had
/// entered it, about a listener so long after its accept queue was full. With more, sockets of one kind that stay, and that were only counted: such a line has no ends.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    extend(
        "dependentRequired" = {
            "bytes_unsent": ["bytes_unacknowledged"],
            "bytes_unacknowledged": ["bytes_unsent"],
            "window_probes": ["window_probes_unanswered", "next_in_s"],
            "window_probes_unanswered": ["window_probes"],
            "window_probes_or_more": ["window_probes"],
            "gives_up_in_at_most_s": ["gives_up_in_s", "estimate"],
            "accept_queue": ["accept_queue_max"],
            "accept_queue_max": ["accept_queue"]
        },
        "if" = { "required": ["more"] },
        "then" = {
            "required": ["after_s"],
            "properties": {
                "netns": { "type": "integer", "minimum": 1, "maximum": 4_294_967_295_u32 },
                "direction": { "enum": ["outgoing", "incoming", "both", null] },
                "process": { "anyOf": [{ "$ref": "#/$defs/process" }, { "type": "null" }] },
                "socket": false, "local": false, "remote": false, "waits_for": false
            }
        },
        "else" = {
            "$ref": "#/$defs/socket_line",
            "required": ["in_state_s", "waits_for"],
            "properties": { "after_s": false }
        }
    ),
    transform = schema::of_one_or_several
))]
pub(crate) struct StillLine {
    state: StateJson,
    /// How long it is in that state; null when its beginning was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Seconds>"))]
    in_state_s: Option<Perhaps>,
    /// And at least how long. Absent when the exact time is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    in_state_at_least_s: Option<Seconds>,
    /// What has to happen for it to leave the state; null when nothing that the kernel shows says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::waits_for"))]
    waits_for: Option<StillJson>,
    /// The application has closed it. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    orphan: bool,
    /// Bytes of data that the application handed over and that were not sent yet; absent of a mini-socket, and on
    /// kernels before 4.6.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    bytes_unsent: Option<u32>,
    /// Bytes of data that were sent and not acknowledged; absent when `bytes_unsent` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    bytes_unacknowledged: Option<u32>,
    /// Bytes of data that came and that the application has not read; absent before a connection is established,
    /// and of a mini-socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    bytes_unread: Option<u32>,
    /// The peer's window, in bytes; absent of a mini-socket, and on kernels before 5.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    peer_window: Option<u32>,
    /// The application has read up to the peer's FIN; absent where that has not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "bool"))]
    end_read: Option<bool>,
    /// How often a timer has sent the same segment again since the last answer, by the kernel's count, in which a
    /// tail loss probe is not, but an attempt that the network below did not take; absent when no such timer runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    sent_again: Option<u32>,
    /// How often the peer's window was probed since it is closed; absent when it is not probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    window_probes: Option<u32>,
    /// The kernel's count has reached its greatest value, `tcp_retries2`. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    window_probes_or_more: bool,
    /// Probes since the last answer of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    window_probes_unanswered: Option<u32>,
    /// When the next segment is due that a timer sends; the kernel's timers may be late.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    next_in_s: Option<Seconds>,
    /// When the kernel gives up if all stays as it is, at the earliest; null if it goes on for ever while the peer
    /// answers; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Seconds>"))]
    gives_up_in_s: Option<Perhaps>,
    /// And at the latest, as late as the kernel's timers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    gives_up_in_at_most_s: Option<Seconds>,
    /// When the kernel's timer ends the state entered, if nothing else does before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    ends_in_s: Option<Seconds>,
    /// Of a listener: connections that wait to be accepted, more than `accept_queue_max`: SYNs and the last ACKs of
    /// handshakes are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    accept_queue: Option<u32>,
    /// The smaller of the argument of `listen()` and somaxconn. One connection more is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    accept_queue_max: Option<u32>,
    /// How long the accept queue is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    accept_queue_full_s: Option<Seconds>,
    /// The same, at least: it was full when it was seen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    accept_queue_full_at_least_s: Option<Seconds>,
    /// How many more sockets in this state, of this owner, have stayed for `after_s` within a second; 20 of them
    /// have lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    more: Option<u64>,
    /// How long they are in the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    after_s: Option<Seconds>,
    /// `gives_up_in_s` or `ends_in_s` is computed from sysctls: options of the socket that the kernel does not show
    /// may make it another (`TCP_USER_TIMEOUT`, `TCP_SYNCNT`, `TCP_LINGER2`). Of more: records were lost, so that
    /// some of these sockets may have left the state. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimate: bool,
}

/// Null where it is not known, or never comes.
#[derive(Debug, Serialize)]
struct Perhaps(Option<Seconds>);

/// Null where nothing says it.
#[derive(Debug, Serialize)]
struct StillJson(Option<Word>);

impl StillLine {
    const fn of(state: StateJson) -> Self {
        Self {
            state,
            in_state_s: None,
            in_state_at_least_s: None,
            waits_for: None,
            orphan: false,
            bytes_unsent: None,
            bytes_unacknowledged: None,
            bytes_unread: None,
            peer_window: None,
            end_read: None,
            sent_again: None,
            window_probes: None,
            window_probes_or_more: false,
            window_probes_unanswered: None,
            next_in_s: None,
            gives_up_in_s: None,
            gives_up_in_at_most_s: None,
            ends_in_s: None,
            accept_queue: None,
            accept_queue_max: None,
            accept_queue_full_s: None,
            accept_queue_full_at_least_s: None,
            more: None,
            after_s: None,
            estimate: false,
        }
    }

    /// For what a socket waits, without how long.
    pub(super) fn now(state: StateJson, at: KernelTime, wait: &Wait) -> Self {
        Self::of(state).waits(at, wait)
    }

    fn waits(self, at: KernelTime, wait: &Wait) -> Self {
        let (gives_up, at_most) = match wait.gives_up {
            GivesUp::Unknown => (None, None),
            GivesUp::Never => (Some(Perhaps(None)), None),
            GivesUp::In(window) => {
                (Some(Perhaps(Some(Seconds(window.promise)))), Some(Seconds(window.latest)))
            }
        };
        let probes = wait.probes.as_ref();
        Self {
            waits_for: Some(StillJson(wait.waits_for.map(|what| Word(what.word())))),
            orphan: wait.orphan,
            bytes_unsent: wait.unsent,
            bytes_unacknowledged: wait.unacknowledged,
            bytes_unread: wait.unread,
            peer_window: wait.window,
            end_read: wait.end_read,
            sent_again: wait.retransmits.map(Into::into),
            window_probes: probes.map(|probes| probes.sent.into()),
            window_probes_or_more: probes.is_some_and(|probes| probes.or_more),
            window_probes_unanswered: probes.map(|probes| probes.unanswered.into()),
            next_in_s: wait.next_in.map(Seconds),
            estimate: at_most.is_some() || (wait.ends_at.is_some() && wait.end_estimated),
            gives_up_in_s: gives_up,
            gives_up_in_at_most_s: at_most,
            ends_in_s: ends_in(at, wait.ends_at),
            ..self
        }
    }

    fn with_queue(self, queue: Option<StillFull>) -> Self {
        let lasts = |or_longer| {
            let lasts = queue.filter(|queue| queue.or_longer == or_longer);
            lasts.map(|queue| Seconds(queue.lasts))
        };
        Self {
            accept_queue: queue.map(|full| full.queue.waiting),
            accept_queue_max: queue.map(|full| full.queue.most),
            accept_queue_full_s: lasts(false),
            accept_queue_full_at_least_s: lasts(true),
            ..self
        }
    }
}

pub(crate) fn still(line: &mut Members<'_, '_>, still: &Still) {
    let Still { at, ref subject, state, in_state, at_least, ref wait, queue } = *still;
    line.socket(subject);
    line.add(&StillLine {
        in_state_s: Some(Perhaps(in_state.map(Seconds))),
        in_state_at_least_s: at_least.map(Seconds),
        ..StillLine::of(StateJson(state)).waits(at, wait).with_queue(queue)
    });
}

pub(crate) fn others(line: &mut Members<'_, '_>, others: &Others) {
    line.several(&others.subject());
    line.add(&StillLine {
        more: Some(others.count.into()),
        after_s: Some(Seconds(others.after)),
        estimate: others.doubtful,
        ..StillLine::of(StateJson(others.state))
    });
}
