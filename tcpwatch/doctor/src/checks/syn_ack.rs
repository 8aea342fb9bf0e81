//! SYN+ACKs that are lost: clients whose SYN arrived do not complete the handshake.

use std::collections::{BTreeMap, BTreeSet};

use tcpwatch_core::{
    event::{Endpoint, KernelTime, Netns, SegmentKind, TcpState},
    track::{Subject, TrackedEvent},
};

use super::{Check, syn_queue::owner};
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
};

/// Ports that are watched at most, and connections of each.
const MOST: usize = 1 << 12;
/// Retransmissions of a SYN+ACK that chance does not explain.
const AGAIN: u32 = 2;
/// Half-open connections of silent peers; fewer may be peers that are gone.
const SILENT: usize = 3;

#[derive(Default)]
pub(super) struct SynAcks {
    ports: BTreeMap<(Netns, u16), Port>,
}

#[derive(Default)]
struct Port {
    since: Option<KernelTime>,
    opened: u64,
    /// Peers whose SYN+ACK was sent again, and how often.
    again: BTreeMap<Endpoint, SynAckRetries>,
    examples: Vec<Example>,
}

#[derive(Default)]
struct SynAckRetries {
    by_timer: u32,
    /// The peer has sent its SYN again: it is there, and hears nothing.
    by_peer: u32,
}

impl SynAckRetries {
    const fn is_lost(&self) -> bool {
        self.by_timer >= AGAIN || self.by_peer >= AGAIN
    }
}

impl SynAcks {
    fn port(&mut self, subject: &Subject) -> Option<&mut Port> {
        let key = (subject.netns, subject.ends.local.port);
        let has_room = self.ports.len() < MOST || self.ports.contains_key(&key);
        has_room.then(|| self.ports.entry(key).or_default())
    }
}

impl Check for SynAcks {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change)
                if (change.from, change.to) == (TcpState::SynRecv, TcpState::Established) =>
            {
                let Some(port) = self.port(&change.subject) else { return };
                port.opened += 1;
                port.again.remove(&change.subject.ends.remote);
            }
            // A full accept queue has a finding of its own.
            TrackedEvent::Retransmit(again)
                if again.segment == SegmentKind::SynAck && again.queue.is_none() =>
            {
                let Some(port) = self.port(&again.subject) else { return };
                let remote = again.subject.ends.remote;
                if port.again.len() >= MOST && !port.again.contains_key(&remote) {
                    return;
                }
                port.since.get_or_insert(again.at);
                let counts = port.again.entry(remote).or_default();
                if again.early {
                    counts.by_peer += 1;
                } else {
                    counts.by_timer = counts.by_timer.max(again.attempt);
                }
                if port.examples.len() < EXAMPLES && counts.is_lost() {
                    let note =
                        format!("SYN+ACK sent again {} times", counts.by_timer + counts.by_peer);
                    let is_new =
                        port.examples.iter().all(|example| example.ends != again.subject.ends);
                    if is_new {
                        port.examples
                            .push(Example { note, ..Example::of(&again.subject, again.state) });
                    }
                }
            }
            _ => {}
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((netns, number), port) in &self.ports {
            into.extend(finding(*netns, *number, port, seen));
        }
    }
}

fn finding(netns: Netns, number: u16, port: &Port, seen: &mut Surroundings) -> Option<Finding> {
    let lost: Vec<_> = port.again.iter().filter(|(_, again)| again.is_lost()).collect();
    let (count, alive) =
        (lost.len(), lost.iter().filter(|(_, again)| again.by_peer >= AGAIN).count());
    let hosts: BTreeSet<_> = lost.iter().map(|(remote, _)| remote.address).collect();
    let many = u64::try_from(count).unwrap_or(u64::MAX);
    // Of a SYN flood the SYN queue's finding speaks.
    let floods =
        seen.growth(netns, "TCPReqQFullDoCookies") + seen.growth(netns, "TCPReqQFullDrop") > 0;
    if floods || (alive == 0 && count < SILENT) || many * 9 < port.opened {
        return None;
    }
    let whose = owner(seen, netns, number);
    let from =
        if hosts.len() == 1 { "one host".to_owned() } else { format!("{} hosts", hosts.len()) };
    let what = format!(
        "{count} handshakes to port {number} of {whose}, from {from}, do not complete: the SYN+ACK is sent again and again, \
         {alive} of the clients send their SYN again, too"
    );
    let certainty = if alive > 0 { Certainty::Likely } else { Certainty::Possible };
    Some(Finding {
        since: port.since,
        basis: if alive > 0 {
            "the client is alive and does not hear this host".to_owned()
        } else {
            "the clients are silent: their SYN may have had a forged address".to_owned()
        },
        examples: port.examples.clone(),
        ..Finding::new(Kind::SynAckLost, (Severity::Warning, certainty), many, whose, what)
    })
}
