//! Losses that nothing was sent again for: they follow from states that lasted, or that ended in a way of their own.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentKind, TcpState},
    track::Reason,
};

use super::{
    life::{Conversation, EndLife},
    loss_place::{ACK, ALL, FIN, LossPlace, SYN, rule, rule_name},
    losses::LosingEnd,
    script::{self, Script},
};
use crate::host::Host;

/// A SYN to an end that had no socket yet, and that was not refused: it was lost.
pub(super) fn met_nobody(script: &mut Script<'_>, conversation: &Conversation<'_>) {
    let (Some(opener), true) = (&conversation.opener, conversation.is_simultaneous()) else {
        return;
    };
    if opener.again.is_empty()
        && let Some(connected) = opener.enters(TcpState::SynSent)
    {
        let place = LossPlace { name: "no-syn", on: Host::Server, way: "in", matches: SYN };
        let wait = "{ wait = \"server\", dropped_by = \"no-syn-to-the-server\" }".to_owned();
        rule(script, &place, connected, Some((connected, wait)));
    }
}

/// A FIN that met the peer's before it was acknowledged, and is not recorded to have been sent again.
pub(super) fn crossed(script: &mut Script<'_>, conversation: &Conversation<'_>) {
    let closing =
        |(host, life): (Host, &EndLife<'_>)| Some((host, life.enters(TcpState::Closing)?));
    let crossed: Vec<(Host, KernelTime)> = conversation.ends().filter_map(closing).collect();
    let resent = conversation.ends().flat_map(|(_, life)| &life.again);
    if resent.into_iter().any(|again| again.segment == SegmentKind::Fin) {
        return;
    }
    let closed = conversation.ends().filter_map(|(_, life)| life.enters(TcpState::FinWait1));
    let closed: Vec<KernelTime> = closed.collect();
    let (Some(first), Some(last)) = (closed.iter().min(), closed.iter().max()) else { return };
    if let [(_, at), (_, other)] = crossed[..] {
        script.leave_out(at.min(other), "everything from the moment on at which both ends enter CLOSING, because no steps let two FINs cross".to_owned());
    } else if !crossed.is_empty() {
        script.guess("a FIN met the peer's before it was acknowledged; it is assumed that it was lost and sent again");
    }
    for (host, _) in crossed {
        let on = host.peer();
        let place = LossPlace { name: "no-fin", on, way: "in", matches: FIN };
        let wait = format!("{{ wait = \"{on}\", dropped_by = \"{}\" }}", rule_name(&place));
        rule(script, &place, *first, Some((*last, wait)));
    }
}

impl LosingEnd<'_> {
    /// An open connection that timed out without data: its keepalive probes got lost, and the reset that the kernel sends
    /// at last (`tcp_keepalive_timer()` in `net/ipv4/tcp_timer.c`).
    pub(super) fn idle(&self, script: &mut Script<'_>) {
        let timed_out = self.life.changes.iter().find(|change| {
            matches!(change.from, TcpState::Established | TcpState::CloseWait)
                && change.reason == Some(Reason::TimedOut)
        });
        let is_idle = self.life.again.iter().all(|again| again.segment != SegmentKind::Data);
        if let Some(ended) = timed_out.filter(|_| is_idle) {
            let place =
                LossPlace { name: "nothing", on: self.host.peer(), way: "in", matches: ALL };
            let open = self.conversation.ends().map(|(_, life)| life);
            let open = open.filter_map(|life| life.enters(TcpState::Established)).max();
            let set = open.unwrap_or_else(|| self.conversation.began());
            let set = set.after(Duration::from_micros(1));
            let within = script::within(set, ended.at);
            let wait = format!("{{ wait = \"{}\", state = \"CLOSED\"{within} }}", self.host);
            rule(script, &place, set, Some((ended.at, wait)));
        }
    }

    /// A FIN that was never acknowledged nor sent again: it did not get out.
    pub(super) fn silent(&self, script: &mut Script<'_>) {
        let gave_up = self.life.changes.iter().find(|change| {
            change.to == TcpState::Closed
                && matches!(
                    change.reason,
                    Some(Reason::TimedOut | Reason::GaveUp | Reason::NotSent)
                )
        });
        let Some(gave_up) = gave_up else { return };
        let waited =
            matches!(gave_up.from, TcpState::FinWait1 | TcpState::LastAck | TcpState::Closing);
        let is_silent = self.life.again.iter().all(|again| again.segment != SegmentKind::Fin);
        let answers = self.life.again.iter().any(|again| again.segment == SegmentKind::SynAck);
        if gave_up.from == TcpState::SynRecv && !answers {
            script.guess("a half-open connection timed out and no SYN+ACK is recorded to have been sent again; it is assumed that its last acknowledgment was lost");
            let place = LossPlace { name: "no-ack", on: self.host, way: "in", matches: ACK };
            let set = self.conversation.began().before(Duration::from_millis(1));
            rule(script, &place, set, None);
            if let Some(time) = gave_up.in_state {
                // The waits are 1, 2, 4 … seconds: 2^(retries + 1) - 1 in all.
                let retries = (time.as_secs() + 1).checked_ilog2().unwrap_or(1).saturating_sub(1);
                let why = "by the time that it was half-open";
                script.assume_sysctl(self.host, "tcp_synack_retries", retries.into(), why);
            }
        }
        if waited
            && is_silent
            && let Some(sent) = self.enters_any(&[TcpState::FinWait1, TcpState::LastAck])
        {
            script.guess("a FIN was neither acknowledged nor sent again; it is assumed that nothing left the host");
            // The acknowledgment of the peer's FIN is the first of what did not.
            let peer = self.peer.and_then(|life| life.enters(TcpState::FinWait1));
            let set = peer.map_or(sent, |peer| peer.min(sent));
            let place = LossPlace { name: "nothing-out", on: self.host, way: "out", matches: ALL };
            rule(script, &place, set, None);
        }
    }
}
