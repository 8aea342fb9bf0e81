//! Which segments must have been lost, by what was sent again and what the other end went through.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentKind, TcpState},
    track::{Reason, TrackedRetransmit},
};

use super::{
    life::{Conversation, EndLife},
    script::{Script, ScriptPhase, ScriptRule},
};
use crate::host::Host;

/// Attempts to send one thing.
struct Attempts<'a> {
    segment: SegmentKind,
    all: Vec<&'a TrackedRetransmit>,
}

/// Where segments are dropped, and which.
struct LossPlace {
    name: &'static str,
    on: Host,
    way: &'static str,
    matches: &'static [&'static str],
}

const SYN: &[&str] = &["flags = \"SYN\""];
const SYN_ACK: &[&str] = &["flags = \"SYN+ACK\""];
const FIN: &[&str] = &["mask = \"FIN\"", "value = \"FIN\""];
const ACK: &[&str] = &["flags = \"ACK\""];
const ALL: &[&str] = &[];

pub(super) fn add(script: &mut Script<'_>, conversations: &[&Conversation<'_>]) {
    for (index, conversation) in conversations.iter().enumerate() {
        for (host, life) in conversation.ends() {
            let end =
                LosingEnd { index, host, life, peer: conversation.end(host.peer()), conversation };
            for attempts in attempts(life) {
                end.lose(script, &attempts);
            }
            end.silent(script);
            end.idle(script);
        }
        met_nobody(script, conversation);
        crossed(script, conversation);
    }
}

/// A SYN to an end that had no socket yet, and that was not refused: it was lost.
fn met_nobody(script: &mut Script<'_>, conversation: &Conversation<'_>) {
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
fn crossed(script: &mut Script<'_>, conversation: &Conversation<'_>) {
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

fn attempts<'a>(life: &EndLife<'a>) -> Vec<Attempts<'a>> {
    let mut groups: Vec<Attempts<'a>> = Vec::new();
    for again in &life.again {
        let open = groups.iter_mut().rev().find(|group| group.segment == again.segment);
        match open.filter(|_| again.attempt > 1) {
            Some(group) => group.all.push(again),
            None => groups.push(Attempts { segment: again.segment, all: vec![again] }),
        }
    }
    groups
}

/// An end that sent something again.
struct LosingEnd<'a> {
    index: usize,
    host: Host,
    life: &'a EndLife<'a>,
    peer: Option<&'a EndLife<'a>>,
    conversation: &'a Conversation<'a>,
}

impl LosingEnd<'_> {
    fn lose(&self, script: &mut Script<'_>, attempts: &Attempts<'_>) {
        let Some(first) = attempts.all.first() else { return };
        if attempts.all.iter().all(|again| again.early) {
            script.guess("a tail loss probe was sent because an acknowledgment came late, not because a segment was lost");
            return;
        }
        let place = match attempts.segment {
            SegmentKind::Syn => self.syn(script, first),
            SegmentKind::SynAck => Some(self.syn_ack(script, first)),
            SegmentKind::Fin => Some(self.fin(script, first)),
            SegmentKind::Data => Some(self.data(script, first)),
        };
        let Some(place) = place else { return };
        let place = if attempts.all.iter().all(|again| !again.sent) {
            LossPlace { name: "not-sent", on: self.host, way: "out", ..place }
        } else {
            place
        };
        let set = self.sent_first(attempts.segment, first);
        let released = self.released(script, attempts, &place);
        if attempts.segment == SegmentKind::Data && released.is_some() {
            self.read(script, first.at);
        }
        rule(script, &place, set, released);
    }

    /// The peer reads the data that came through, before it closes: with unread data it would reset the connection.
    fn read(&self, script: &mut Script<'_>, sent: KernelTime) {
        let closes = self.peer.and_then(|life| {
            [TcpState::FinWait1, TcpState::LastAck].iter().find_map(|state| life.enters(*state))
        });
        let peer = self.host.peer();
        if let Some(at) = closes.filter(|at| *at > sent) {
            let lines = vec![
                script.step(peer, self.index, "recv", ", bytes = 1"),
                script.returned(peer, self.index, "recv", ""),
            ];
            script.add(at, ScriptPhase::Before, lines);
        }
    }

    /// `None` if the listener's queue was full, which is no loss.
    fn syn(&self, script: &mut Script<'_>, first: &TrackedRetransmit) -> Option<LossPlace> {
        let peer = self.host.peer();
        let queue = script.conversations.iter().filter_map(|it| it.other.as_ref());
        if queue.into_iter().any(|life| life.full_queue.is_some() && life.began() < first.at) {
            return None;
        }
        match self.peer {
            Some(other) if !other.connects() && other.began() < first.at => {
                Some(LossPlace { name: "no-syn-ack", on: self.host, way: "in", matches: SYN_ACK })
            }
            Some(_) => Some(LossPlace { name: "no-syn", on: peer, way: "in", matches: SYN }),
            None => {
                script.guess("whether the SYN or its answer was lost is not in the recording; the SYN is assumed");
                Some(LossPlace { name: "no-syn", on: peer, way: "in", matches: SYN })
            }
        }
    }

    fn syn_ack(&self, script: &mut Script<'_>, first: &TrackedRetransmit) -> LossPlace {
        let peer = self.host.peer();
        let established = self.peer.map(|life| life.enters(TcpState::Established));
        match established {
            Some(Some(at)) if at < first.at => {
                LossPlace { name: "no-ack", on: self.host, way: "in", matches: ACK }
            }
            Some(_) => LossPlace { name: "no-syn-ack", on: peer, way: "in", matches: SYN_ACK },
            None => {
                script.guess("whether the SYN+ACK or its answer was lost is not in the recording; the SYN+ACK is assumed");
                LossPlace { name: "no-syn-ack", on: peer, way: "in", matches: SYN_ACK }
            }
        }
    }

    fn fin(&self, script: &mut Script<'_>, first: &TrackedRetransmit) -> LossPlace {
        let peer = self.host.peer();
        let Some(other) = self.peer else {
            script.guess("whether the FIN or its acknowledgment was lost is not in the recording; the FIN is assumed");
            return LossPlace { name: "no-fin", on: peer, way: "in", matches: FIN };
        };
        let has_it = other.changes.iter().any(|change| {
            change.at < first.at
                && matches!(change.to, TcpState::CloseWait | TcpState::Closing | TcpState::TimeWait)
        });
        if has_it {
            LossPlace { name: "no-ack", on: self.host, way: "in", matches: ACK }
        } else {
            LossPlace { name: "no-fin", on: peer, way: "in", matches: FIN }
        }
    }

    fn data(&self, script: &mut Script<'_>, first: &TrackedRetransmit) -> LossPlace {
        script.guess("which data were sent, and whether they or their acknowledgment was lost, is not in the recording; a byte is sent and lost");
        let at = self.sent_first(SegmentKind::Data, first);
        script.call(at, self.host, self.index, "send");
        LossPlace { name: "no-data", on: self.host.peer(), way: "in", matches: ACK }
    }

    /// When the segment was sent for the first time.
    fn sent_first(&self, segment: SegmentKind, first: &TrackedRetransmit) -> KernelTime {
        let fin = || self.enters_any(&[TcpState::FinWait1, TcpState::LastAck]);
        let known = match segment {
            // Both SYNs are sent at once, so that both rules are set before.
            SegmentKind::Syn if self.conversation.is_simultaneous() => {
                Some(self.conversation.began())
            }
            SegmentKind::Syn => self.life.enters(TcpState::SynSent),
            SegmentKind::SynAck => Some(self.conversation.began()),
            SegmentKind::Fin => fin(),
            SegmentKind::Data => {
                let open = self.conversation.ends().map(|(_, life)| life);
                let open = open.filter_map(|life| life.enters(TcpState::Established)).max();
                let sent = first.at.before(first.since_last.unwrap_or_default());
                // After everything that opens the connection.
                open.map(|open| sent.max(open.after(Duration::from_micros(1)))).or(Some(sent))
            }
        };
        known.unwrap_or(first.at)
    }

    fn enters_any(&self, states: &[TcpState]) -> Option<KernelTime> {
        states.iter().filter_map(|state| self.life.enters(*state)).min()
    }

    /// Before the attempt that got through; `None` if none did.
    fn released(
        &self,
        script: &Script<'_>,
        attempts: &Attempts<'_>,
        place: &LossPlace,
    ) -> Option<(KernelTime, String)> {
        let last = attempts.all.last()?;
        let mut later = self.life.changes.iter().filter(|change| change.at > last.at);
        let answered = later.find(|change| change.to != TcpState::Closing)?;
        if matches!(
            answered.reason,
            Some(
                Reason::TimedOut
                    | Reason::GaveUp
                    | Reason::NotSent
                    | Reason::Abandoned
                    | Reason::Killed
                    | Reason::NetnsGone
            )
        ) {
            return None;
        }
        let host = self.host;
        let segment = attempts.segment.word();
        let Some(before) = attempts.all.iter().rev().nth(1) else {
            let at = self.sent_first(attempts.segment, last);
            let name = rule_name(place);
            let on = place.on;
            return Some((at, format!("{{ wait = \"{on}\", dropped_by = \"{name}\" }}")));
        };
        // Of all connections of the host: the wait counts them, too.
        let lives = script.conversations.iter().filter_map(|it| it.end(host));
        let earlier = lives
            .flat_map(|life| &life.again)
            .filter(|again| again.segment == attempts.segment && again.at <= before.at);
        let count = earlier.count();
        let within = super::script::within(self.life.began(), before.at);
        let wait = format!(
            "{{ wait = \"{host}\", retransmits = \"{segment}\", count = {count}{within} }}"
        );
        Some((before.at, wait))
    }

    /// An open connection that timed out without data: its keepalive probes got lost, and the reset that the kernel sends
    /// at last (`tcp_keepalive_timer()` in `net/ipv4/tcp_timer.c`).
    fn idle(&self, script: &mut Script<'_>) {
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
            let within = super::script::within(set, ended.at);
            let wait = format!("{{ wait = \"{}\", state = \"CLOSED\"{within} }}", self.host);
            rule(script, &place, set, Some((ended.at, wait)));
        }
    }

    /// A FIN that was never acknowledged nor sent again: it did not get out.
    fn silent(&self, script: &mut Script<'_>) {
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

fn rule_name(place: &LossPlace) -> String {
    if place.way == "out" {
        return format!("{}-of-the-{}", place.name, place.on);
    }
    format!("{}-to-the-{}", place.name, place.on)
}

/// Adds a rule, or lets one that drops the same last longer.
fn rule(
    script: &mut Script<'_>,
    place: &LossPlace,
    set: KernelTime,
    released: Option<(KernelTime, String)>,
) {
    let name = rule_name(place);
    let overlapping = script.rules.iter_mut().find(|known| {
        (known.on, known.way, known.matches) == (place.on, place.way, place.matches)
            && known.released.as_ref().is_none_or(|(at, _)| *at >= set)
    });
    if let Some(known) = overlapping {
        known.set = known.set.min(set);
        known.released = match (known.released.take(), released) {
            (Some(one), Some(other)) => Some(if one.0 >= other.0 { one } else { other }),
            _ => None,
        };
        return;
    }
    let taken = script.rules.iter().filter(|known| known.name.starts_with(&name)).count();
    let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
    let LossPlace { on, way, matches, .. } = *place;
    script.rules.push(ScriptRule { name, on, way, matches, set, released });
}
