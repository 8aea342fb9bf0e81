//! What the workload must have caused: records by hook, and lines. Derived from the workload, not from any output of
//! tcpwatch.

use std::collections::BTreeMap;

use tcpwatch_common::counter::Hook;

use super::workload::Made;

/// Everything that is known from other sources.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) made: Made,
    /// Listeners that were open at the start and are closed.
    pub(super) listeners: u64,
    /// Sockets still in TIME_WAIT, by the kernel's count.
    pub(super) time_wait: u64,
    /// Of these, those whose minute was over before the reader had ended.
    pub(super) expired: u64,
    /// Retransmitted segments, by the kernel's count.
    pub(super) sent_again: u64,
    /// Delayed ACKs, by the kernel's count: a FIN that is acknowledged alone makes a FIN_WAIT_2 of a mini-socket, whose
    /// timer is restarted for TIME_WAIT.
    pub(super) delayed: u64,
    /// Resets besides those of the workload, by the kernel's count.
    pub(super) resets_besides: u64,
    /// Only events that show whose retransmissions they are pass the filters: SYN_SENT, LISTEN and CLOSED are entered.
    pub(super) only_retries: bool,
}

impl Facts {
    /// Sockets that left TIME_WAIT.
    const fn ended(self) -> u64 {
        self.made.whole - self.time_wait
    }

    /// Records that this hook must have attempted; `None` if no other source has the number.
    pub(super) const fn records(self, hook: Hook) -> Option<u64> {
        let Made { whole, reset, refused, unanswered } = self.made;
        if self.only_retries {
            return Some(match hook {
                // The listener that drops everything is opened and closed, too.
                Hook::SetState => {
                    let changes = 3 * (whole + reset) + 2 * (refused + unanswered);
                    changes + self.listeners + 2 + self.owners(hook)
                }
                Hook::Retransmit => self.sent_again,
                _ => 0,
            });
        }
        Some(match hook {
            // The client: SYN_SENT, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSED; the server: SYN_RECV,
            // ESTABLISHED, CLOSE_WAIT, LAST_ACK, CLOSED. With a reset both close after ESTABLISHED.
            Hook::SetState => {
                let changes = 10 * whole + 6 * reset + 2 * refused + 2 * unanswered;
                changes + self.listeners + self.owners(hook)
            }
            // A request socket and a timewait socket.
            Hook::TimerStart => whole + reset + whole,
            Hook::TimerCancel => whole + reset + self.ended(),
            Hook::SendReset | Hook::ReceiveReset | Hook::ErrorReport => reset + refused,
            // SYNs, practically always: the rest is answered at once.
            Hook::Retransmit => self.sent_again,
            Hook::RetransmitSynAck
            | Hook::TimerExpire
            | Hook::Received
            | Hook::Sent
            | Hook::TapIn
            | Hook::TapOut
            | Hook::SetStateSecond
            | Hook::SetStateThird
            | Hook::SetStateFourth
            | Hook::SetStateFifth => return None,
        })
    }

    /// Of these, second records of a run, which name the owner: for each `connect()` and `listen()`, and each `close()`
    /// that changes the state.
    pub(super) const fn owners(self, hook: Hook) -> u64 {
        let Made { whole, reset, refused, unanswered } = self.made;
        match (hook, self.only_retries) {
            (Hook::SetState, false) => 3 * whole + 2 * reset + refused + 2 * unanswered,
            (Hook::SetState, true) => whole + 2 * reset + refused + 2 * unanswered + 1,
            _ => 0,
        }
    }

    /// Additional records that this hook may have attempted.
    pub(super) const fn more(self, hook: Hook) -> u64 {
        match hook {
            Hook::TimerStart => self.delayed,
            Hook::TimerCancel => self.delayed + self.expired,
            Hook::SendReset | Hook::ReceiveReset => self.resets_besides,
            _ => 0,
        }
    }

    /// Changes by their kind, as tcpwatch must report them.
    pub(super) fn changes(self) -> BTreeMap<String, u64> {
        let Made { whole, reset, refused, unanswered } = self.made;
        let changes = [
            ("CLOSED>SYN_SENT", self.made.connects()),
            ("SYN_SENT>ESTABLISHED", whole + reset),
            ("SYN_SENT>CLOSED", refused + unanswered),
            ("LISTEN>SYN_RECV", whole + reset),
            ("SYN_RECV>ESTABLISHED", whole + reset),
            ("ESTABLISHED>CLOSED", 2 * reset),
            ("ESTABLISHED>FIN_WAIT_1", whole),
            ("ESTABLISHED>CLOSE_WAIT", whole),
            ("CLOSE_WAIT>LAST_ACK", whole),
            ("LAST_ACK>CLOSED", whole),
            ("FIN_WAIT_1>FIN_WAIT_2", whole),
            ("FIN_WAIT_2>TIME_WAIT", whole),
            ("TIME_WAIT>CLOSED", self.ended()),
            ("LISTEN>CLOSED", self.listeners),
        ];
        changes.map(|(change, count)| (change.to_owned(), count)).into()
    }

    /// Lines of changes, resets and retries.
    pub(super) fn happenings(self) -> u64 {
        let changes: u64 = self.changes().values().sum();
        // Each reset is sent and received.
        changes + 2 * self.errors() + self.sent_again
    }

    /// Errors that applications get; text leaves them out, because the change to CLOSED has the same information.
    pub(super) const fn errors(self) -> u64 {
        self.made.reset + self.made.refused
    }

    /// Lines about whole connections, one for each endpoint that no longer exists.
    pub(super) const fn connections(self) -> u64 {
        let Made { whole, reset, refused, unanswered } = self.made;
        whole + self.ended() + 2 * reset + refused + unanswered
    }
}
