//! Which segments must have been lost, by what was sent again and what the other end went through.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentKind, TcpState},
    track::{Reason, TrackedRetransmit},
};

use super::{
    life::{Conversation, EndLife},
    loss_place::{ACK, FIN, LossPlace, SYN, SYN_ACK, rule, rule_name},
    script::{Script, ScriptPhase},
    unrecorded_losses::{crossed, met_nobody},
};
use crate::host::Host;

/// Attempts to send one thing.
struct Attempts<'a> {
    segment: SegmentKind,
    all: Vec<&'a TrackedRetransmit>,
}

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
pub(super) struct LosingEnd<'a> {
    index: usize,
    pub(super) host: Host,
    pub(super) life: &'a EndLife<'a>,
    pub(super) peer: Option<&'a EndLife<'a>>,
    pub(super) conversation: &'a Conversation<'a>,
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

    /// When the end enters one of these states first.
    pub(super) fn enters_any(&self, states: &[TcpState]) -> Option<KernelTime> {
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
}
