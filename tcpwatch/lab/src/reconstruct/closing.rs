//! Which calls ended the connections.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentKind, TcpState},
    timing::Sysctls,
    track::{Change, Reason},
};

use super::{
    life::{Conversation, EndLife},
    script::{Script, ScriptPhase},
};
use crate::host::Host;

/// A shorter stay in FIN_WAIT_2 was ended by the segment that began it.
const AT_ONCE: Duration = Duration::from_millis(1);

pub(super) fn add(script: &mut Script<'_>, conversations: &[&Conversation<'_>]) {
    for (index, conversation) in conversations.iter().enumerate() {
        if conversation.listener.is_some() {
            continue;
        }
        for (host, life) in conversation.ends() {
            let closing = ClosingEnd { index, host, life, peer: conversation.end(host.peer()) };
            for change in &life.changes {
                closing.change(script, change);
            }
            let shut = life.enters(TcpState::FinWait1).filter(|at| closing.only_shut_down(*at));
            for restart in life.restarts.iter().filter(|restart| restart.starts && shut.is_some()) {
                script.call(restart.at, host, index, "close");
            }
        }
    }
}

/// One end, and what is known of the other.
struct ClosingEnd<'a> {
    index: usize,
    host: Host,
    life: &'a EndLife<'a>,
    peer: Option<&'a EndLife<'a>>,
}

impl ClosingEnd<'_> {
    fn change(&self, script: &mut Script<'_>, change: &Change) {
        use TcpState::{
            CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait,
        };
        let (at, host, index) = (change.at, self.host, self.index);
        match (change.from, change.to) {
            (_, FinWait1) => {
                let call = if self.only_shut_down(at) { "shutdown" } else { "close" };
                script.call(at, host, index, call);
            }
            (CloseWait, LastAck) => script.call(at, host, index, "close"),
            // Its peer closed.
            (Established, CloseWait) | (FinWait1, Closing | TimeWait) | (FinWait2, TimeWait)
                if self.peer.is_none() =>
            {
                script.call(at, host.peer(), index, "close");
            }
            (_, Closed) => self.ends(script, change),
            _ => {}
        }
    }

    /// `shutdown()` leaves FIN_WAIT_2 without a timer, until `close()` starts it.
    fn only_shut_down(&self, closed: KernelTime) -> bool {
        let later = || self.life.changes.iter().filter(|change| change.at >= closed);
        let Some(waits) = later().find(|change| change.to == TcpState::FinWait2) else {
            return false;
        };
        let next = later().find(|change| change.from == TcpState::FinWait2);
        let by_timer = next.is_some_and(|next| next.reason == Some(Reason::Timer));
        let at_once = next.is_some_and(|next| next.at.since(waits.at) < AT_ONCE);
        waits.ends_at.is_none() && !by_timer && !at_once
    }

    fn ends(&self, script: &mut Script<'_>, change: &Change) {
        let (at, host, index) = (change.at, self.host, self.index);
        let is_open = matches!(change.from, TcpState::Established | TcpState::CloseWait);
        match change.reason {
            Some(Reason::ResetSent) if change.late_data || !is_open => {
                script.guess("how much data came late is not in the recording; a byte is sent");
                script.call(at, host.peer(), index, "send");
            }
            Some(Reason::ResetSent) => {
                script.guess("a close() with unread data resets a connection, too; SO_LINGER with 0 is assumed");
                script.call(at, host, index, "reset");
            }
            Some(Reason::ResetReceived) if self.peer.is_none() => {
                script.call(at, host.peer(), index, "reset");
            }
            Some(Reason::TimedOut | Reason::GaveUp) if is_open => self.gives_up(script, change),
            Some(Reason::TimeWaitOverflow) => {
                let why = "the kernel had more sockets in TIME_WAIT than it allows; with 0 one is too many";
                script.assume_sysctl(host, "tcp_max_tw_buckets", 0, why);
            }
            Some(Reason::ListenerClosed) => {
                let close = "{ server = \"close\", socket = \"listener\" }".to_owned();
                script.add(at, ScriptPhase::Call, vec![close]);
            }
            Some(
                Reason::Normal
                | Reason::Refused
                | Reason::TimedOut
                | Reason::GaveUp
                | Reason::Abandoned
                | Reason::NotSent
                | Reason::ResetReceived
                | Reason::Timer
                | Reason::Reused,
            ) => {}
            other => {
                let why = other.map_or("unknown", Reason::word);
                let state = change.from;
                script.leave_out(at, format!(
                    "everything from the moment on at which the {host}'s socket left {state} for CLOSED, because no step makes that happen (reason: {why})"
                ));
            }
        }
    }

    /// An open connection that timed out: by its retransmissions, by `TCP_USER_TIMEOUT` before they were used up, or, if
    /// nothing was sent, by keepalive probes.
    fn gives_up(&self, script: &mut Script<'_>, change: &Change) {
        let data = || self.life.again.iter().filter(|again| again.segment == SegmentKind::Data);
        let mut timed = data().filter(|again| !again.early);
        if let Some(last) = data().next_back() {
            let allowed = script.sysctls.get(&(self.host, "tcp_retries2"));
            let allowed = allowed.map_or(Sysctls::default().retries2.into(), |it| it.value);
            let first = timed.next().map_or(last.at, |first| first.at);
            let by_timer = u64::try_from(1 + timed.count()).unwrap_or(u64::MAX);
            if by_timer < allowed {
                let time = change.at.since(first).as_millis() / 100 * 100;
                script.guess("the connection ended before its retransmissions were used up; TCP_USER_TIMEOUT is assumed, in full tenths of a second");
                self.set_option(script, "user_timeout", time.max(100));
            }
        } else {
            let idle = change.in_state.map_or(2, |time| time.as_secs()).max(2);
            script.guess("an idle connection timed out; keepalive is assumed, with one probe, a second after the whole second before");
            for (option, value) in [
                ("keepalive", 1),
                ("keepidle", u128::from(idle) - 1),
                ("keepintvl", 1),
                ("keepcnt", 1),
            ] {
                self.set_option(script, option, value);
            }
        }
    }

    /// Set when the connection is open.
    fn set_option(&self, script: &mut Script<'_>, option: &str, value: u128) {
        let keys = format!(", option = \"{option}\", value = {value}");
        let line = script.step(self.host, self.index, "set_option", &keys);
        let open = self.peer.into_iter().chain([self.life]);
        let open = open.filter_map(|life| life.enters(TcpState::Established)).max();
        script.add(open.unwrap_or_else(|| self.life.began()), ScriptPhase::Release, vec![line]);
    }
}
