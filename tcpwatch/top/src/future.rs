//! What will happen to a socket if nothing comes, from the kernel's own schedules.

use tcpwatch_core::{
    event::{KernelTime, TcpState},
    timing::{self, SynOptions, Sysctls, wheel::TickRate},
    track::GivesUp,
};

use crate::row::SocketRow;

/// Something that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// When, by the kernel's clock: not before.
    pub at: Option<KernelTime>,
    /// What.
    pub what: String,
}

/// By which rules a socket waits.
#[derive(Clone, Copy, Debug)]
pub struct FutureRules<'a> {
    /// Of its network namespace; `None` if they are not known.
    pub sysctls: Option<&'a Sysctls>,
    /// Ticks per second.
    pub rate: TickRate,
}

/// What will happen to a socket, the nearest first.
#[must_use]
pub fn of(row: &SocketRow, rules: FutureRules<'_>) -> Vec<Prospect> {
    if row.ended.is_some() {
        return Vec::new();
    }
    match row.state {
        TcpState::SynSent | TcpState::SynRecv => handshake(row, rules),
        TcpState::TimeWait | TcpState::FinWait2 if row.until.is_some() => {
            let estimate = row.until.is_some_and(|until| until.estimated);
            let estimate = if estimate { " (estimate)" } else { "" };
            vec![Prospect {
                at: row.until.map(|until| until.at),
                what: format!("CLOSED by its timer{estimate}"),
            }]
        }
        TcpState::FinWait2 => only("no timer ends this, only the peer's FIN"),
        TcpState::Listen => only("no timer ends this"),
        TcpState::Established => {
            let retry = row.until.map(|until| Prospect {
                at: Some(until.at),
                what: format!("data retry {}, without an ACK", row.tries + 1),
            });
            let rest = only("no timer ends this while it is idle");
            retry.into_iter().chain(rest).collect()
        }
        TcpState::CloseWait => only("no timer ends this, only close()"),
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => closing(row),
        TcpState::TimeWait => only("its timer ends this; when is not known"),
        TcpState::Closed | TcpState::Unknown(_) => Vec::new(),
    }
}

fn only(what: &str) -> Vec<Prospect> {
    vec![Prospect { at: None, what: what.to_owned() }]
}

/// The rest of the schedule of a SYN or SYN+ACK, and its end.
fn handshake(row: &SocketRow, rules: FutureRules<'_>) -> Vec<Prospect> {
    let (segment, schedule) = match (row.state, rules.sysctls) {
        (TcpState::SynSent, Some(sysctls)) => {
            ("SYN", timing::syn(sysctls, SynOptions::default(), rules.rate))
        }
        (_, Some(sysctls)) => ("SYN+ACK", timing::syn_ack(sysctls, None, rules.rate)),
        (_, None) => {
            let Some(until) = row.until else {
                return only("when it is sent again is not known");
            };
            let what = "the next retry, or the end".to_owned();
            return vec![Prospect { at: Some(until.at), what }];
        }
    };
    let tries = usize::try_from(row.tries).unwrap_or(usize::MAX);
    // The schedule counts from the first transmission; what has been late is late for all that follows.
    let next = schedule.attempts.get(tries);
    let next = next.map_or(schedule.gives_up.promise, |attempt| attempt.window.promise);
    let due = row.until.map(|until| until.at);
    let first = match due {
        Some(due) => due.before(next),
        None if row.age.seen => row.age.since,
        None => return only("since when it waits is not known"),
    };
    let mut prospects: Vec<_> = schedule
        .attempts
        .iter()
        .enumerate()
        .skip(tries)
        .map(|(number, attempt)| Prospect {
            at: Some(first.after(attempt.window.promise)),
            what: format!("{segment} retry {}", number + 1),
        })
        .collect();
    let end = if row.state == TcpState::SynSent { "gives up: ETIMEDOUT" } else { "gives up" };
    let at = Some(first.after(schedule.gives_up.promise));
    prospects.push(Prospect { at, what: end.to_owned() });
    prospects
}

/// What is sent again until the kernel gives up, as far as it has said so.
fn closing(row: &SocketRow) -> Vec<Prospect> {
    let retry = row.until.map(|until| Prospect {
        at: Some(until.at),
        what: format!("retry {}, without an ACK", row.tries + 1),
    });
    let end = row.wait.and_then(|(asked, wait)| match wait.gives_up {
        GivesUp::In(window) => Some(Prospect {
            at: Some(asked.after(window.promise)),
            what: "gives up (estimate)".to_owned(),
        }),
        GivesUp::Never => Some(Prospect { at: None, what: "not while the peer answers".into() }),
        GivesUp::Unknown => None,
    });
    retry.into_iter().chain(end).collect()
}
