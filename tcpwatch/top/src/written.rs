//! A row as one of `tcpwatch list`.

use tcpwatch_core::{
    event::{KernelTime, KnownKind, SocketTimer, SocketTimerKind, TcpState},
    track::{GivesUp, SocketNow, StateAge, Wait},
};

use crate::row::SocketRow;

/// Nothing is known of what it waits for.
const NO_WAIT: Wait = Wait {
    waits_for: None,
    orphan: false,
    unsent: None,
    unacknowledged: None,
    unread: None,
    end_read: None,
    window: None,
    retransmits: None,
    probes: None,
    next_in: None,
    gives_up: GivesUp::Unknown,
    ends_at: None,
    end_estimated: false,
};

/// What is known of a socket at `now`.
#[must_use]
pub fn socket_now(row: &SocketRow, now: KernelTime) -> SocketNow {
    let in_state = row.in_state(now);
    let timer = timer(row, now);
    let until = row.until(now);
    let wait = row.wait.map_or(NO_WAIT, |(_, wait)| wait);
    SocketNow {
        at: now,
        subject: row.subject,
        state: row.state,
        kind: kind(row),
        age: if row.age.seen { StateAge::Seen(in_state) } else { StateAge::Bound(in_state) },
        timer,
        most_tries: row.most.filter(|_| timer.is_some()),
        accept_queue: row.queue.filter(|_| row.state == TcpState::Listen),
        wait: Wait {
            waits_for: wait.waits_for.or_else(|| row.waits_by_state()),
            ends_at: until.map(|until| until.at),
            end_estimated: until.is_some_and(|until| until.estimated),
            next_in: None,
            gives_up: GivesUp::Unknown,
            ..wait
        },
    }
}

/// A mini-socket's timer is known exactly; that of an orphan in FIN_WAIT_2 is estimated.
fn is_mini(row: &SocketRow) -> bool {
    row.state == TcpState::TimeWait
        || row.state == TcpState::FinWait2 && row.until.is_some_and(|until| !until.estimated)
}

fn kind(row: &SocketRow) -> KnownKind {
    match row.state {
        TcpState::SynRecv => KnownKind::Request,
        _ if is_mini(row) => KnownKind::TimeWait,
        _ => KnownKind::Full,
    }
}

fn timer(row: &SocketRow, now: KernelTime) -> Option<SocketTimer> {
    let left = row.until(now)?.at.since(now);
    let kind = match row.state {
        TcpState::FinWait2 if !is_mini(row) => SocketTimerKind::Keepalive,
        _ if is_mini(row) => SocketTimerKind::TimeWait,
        _ => SocketTimerKind::Retransmit,
    };
    Some(SocketTimer { kind, left, tries: row.tries(now).try_into().unwrap_or(u8::MAX) })
}
