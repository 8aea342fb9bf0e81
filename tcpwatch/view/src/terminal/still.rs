//! Lines about sockets that stay in a state, and for what they wait.

use tcpwatch_core::{
    event::{KernelTime, TcpState, WallClock},
    track::{AcceptQueue, GivesUp, Others, Still, StillFull, Wait, WaitsFor, WindowProbes},
};

use super::{Existed, Humane, Remarks, Terminal, cell, char_count, columns::CHANGE, place, style};
use crate::grouped;

impl Terminal {
    /// `CLOSE_WAIT, still   10.0 s  java 4711 · waits for the application's close() · 512 bytes unread`
    pub(crate) fn still(&mut self, still: &Still, clock: &WallClock, out: &mut Vec<u8>) {
        let Still { at, ref subject, state, in_state, at_least, ref wait, queue } = *still;
        self.begin(at, subject, clock, out);
        cell::text(&format!("{state}, still"), CHANGE, &mut self.cell);
        self.middle(style::of_state(state), in_state, out);
        // What it waits for makes a line long, and costs the owner no letter of its name.
        self.owner.clear();
        cell::owner(subject, self.guess(), &mut self.owner);
        let taken = self.columns.last_cell() + char_count(&self.owner) + self.marked();
        let room = self.layout.width.saturating_sub(taken);
        place::append(subject, &mut self.places, room, &mut self.owner);
        for phrase in phrases(state, wait).into_iter().chain(queue.map(full_queue)) {
            self.owner.extend_from_slice(" \u{b7} ".as_bytes());
            self.owner.extend_from_slice(phrase.as_bytes());
        }
        // How long a listener's queue is full was said.
        let for_how_long = |time| if queue.is_some() { Existed::Yes } else { Existed::For(time) };
        let existed = at_least.map_or(Existed::No, for_how_long);
        self.remark(Remarks { ends_at: wait.ends_at, existed, ..Remarks::default() }, clock);
        self.owner.append(&mut self.cell);
        if wait.end_estimated {
            self.owner.extend_from_slice(b" (estimate)");
        }
        self.close_owner(style::PLAIN, out);
    }

    /// `and 1,204 more of java 4711: CLOSE_WAIT, still, after 10 s`
    pub(crate) fn others(&mut self, others: &Others, clock: &WallClock, out: &mut Vec<u8>) {
        let Others { at, count, state, after, .. } = *others;
        let subject = others.subject();
        self.begin_without_ends(at, subject.netns, clock, out);
        self.owner.clear();
        match subject.process {
            Some(_) => cell::owner(&subject, self.guess(), &mut self.owner),
            None => self.owner.extend_from_slice(b"an unknown owner"),
        }
        let start = format!(" and {} more of ", grouped(count.into()));
        let after = Humane(Some(after)).round();
        let doubt = if others.doubtful { " (perhaps fewer: records were lost)" } else { "" };
        let end = format!(": {state}, still, after {after}{doubt}");
        let mut text = [start.as_bytes(), &self.owner, end.as_bytes()].concat();
        self.marks(&mut text);
        self.close_text(&text, self.columns.form.time(), style::of_state(state), out);
    }

    fn begin_without_ends(
        &mut self,
        at: KernelTime,
        netns: tcpwatch_core::event::Netns,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.namespaces.begin(netns, at);
        self.late = at < self.newest;
        self.newest = self.newest.max(at);
        self.header(false, super::Titles::Changes, out);
        self.moment(at, clock, out);
        self.cell.clear();
    }
}

/// What it waits for, first; then what is in its queues, and what the kernel does meanwhile.
fn phrases(state: TcpState, wait: &Wait) -> Vec<String> {
    let mut phrases = vec![waits_for(wait)];
    if state == TcpState::FinWait2 && !wait.orphan {
        phrases.push("the application has not closed it: no timer".to_owned());
    }
    phrases.extend(queues(wait));
    phrases.extend(wait.retransmits.and_then(|count| retransmits(count, wait.waits_for)));
    phrases.extend(wait.probes.map(probes));
    match wait.next_in {
        Some(left) if left.is_zero() => phrases.push("next now".to_owned()),
        Some(left) => phrases.push(format!("next in {}", Humane(Some(left)).round())),
        None => {}
    }
    match wait.gives_up {
        GivesUp::Unknown => {}
        GivesUp::Never => phrases.push("goes on for ever while the peer answers".to_owned()),
        GivesUp::In(window) => {
            phrases.push(format!("gives up in about {}", Humane(Some(window.promise)).round()));
        }
    }
    phrases
}

fn waits_for(wait: &Wait) -> String {
    let what = match wait.waits_for {
        None => return "for what it waits is not known".to_owned(),
        Some(WaitsFor::SynAck) => "an answer to its SYN",
        Some(WaitsFor::HandshakeAck) => "the last ACK of the handshake",
        Some(WaitsFor::FirstWrite) => "the application's first write, which sends the SYN",
        Some(WaitsFor::PeerFin) => "the peer's FIN",
        Some(WaitsFor::Accept) => "the application's accept()",
        Some(WaitsFor::Close) => "the application's close()",
        Some(WaitsFor::Connection) => "connections",
        Some(WaitsFor::Timer) => "its timer",
        Some(WaitsFor::Window) => {
            return match wait.window {
                Some(0) => "waits for the peer's window (zero window)".to_owned(),
                Some(window) => format!("waits for the peer's window ({})", bytes(window)),
                None => "waits for the peer's window".to_owned(),
            };
        }
        Some(WaitsFor::Acknowledgment) => {
            return match (wait.unacknowledged, wait.unsent) {
                (Some(0), Some(0)) => "waits for the ACK of its FIN".to_owned(),
                (Some(sent), Some(0)) => {
                    format!("waits for the ACK of {} and its FIN", bytes(sent))
                }
                (Some(sent), _) => format!("waits for the ACK of {}", bytes(sent)),
                (None, _) => "waits for an ACK".to_owned(),
            };
        }
    };
    format!("waits for {what}")
}

fn full_queue(StillFull { queue, lasts, or_longer }: StillFull) -> String {
    let AcceptQueue { waiting, most } = queue;
    let lasts = Humane(Some(lasts)).round();
    let or_longer = if or_longer { " or longer" } else { "" };
    format!("accept queue full ({waiting} of {most}) for {lasts}{or_longer}")
}

fn queues(wait: &Wait) -> Vec<String> {
    let mut queues = Vec::new();
    let some = |count: Option<u32>| count.filter(|count| *count > 0);
    if let Some(unsent) = some(wait.unsent) {
        queues.push(format!("{} unsent", bytes(unsent)));
    }
    // Otherwise it is what is waited for.
    if wait.waits_for != Some(WaitsFor::Acknowledgment)
        && let Some(sent) = some(wait.unacknowledged)
    {
        queues.push(format!("{} unacknowledged", bytes(sent)));
    }
    if let Some(unread) = some(wait.unread) {
        queues.push(format!("{} unread", bytes(unread)));
    } else if wait.waits_for == Some(WaitsFor::Close) {
        match wait.end_read {
            Some(true) => queues.push("all read, and the peer's FIN seen".to_owned()),
            Some(false) => queues.push("0 bytes unread, but the peer's FIN not seen".to_owned()),
            None => {}
        }
    }
    queues
}

/// Of a full socket the kernel counts timeouts: a tail loss probe, which sends the last segment again too, is none,
/// and the network below may not have taken the segment. Of a half-open connection it counts SYN+ACKs.
fn retransmits(count: u8, waits_for: Option<WaitsFor>) -> Option<String> {
    match (count, waits_for == Some(WaitsFor::HandshakeAck)) {
        (0, _) => None,
        (1, true) => Some("sent again once".to_owned()),
        (many, true) => Some(format!("sent again {many} times")),
        (1, false) => Some("1 timeout".to_owned()),
        (many, false) => Some(format!("{many} timeouts")),
    }
}

fn probes(WindowProbes { sent, or_more, unanswered }: WindowProbes) -> String {
    let more = if or_more { " or more" } else { "" };
    let probes = if sent == 1 && !or_more { "window probe" } else { "window probes" };
    let answers = match (sent, unanswered) {
        (0, _) => String::new(),
        (_, 0) => ", all answered".to_owned(),
        (sent, unanswered) if unanswered >= sent && !or_more => ", not answered".to_owned(),
        (_, 1) => ", the last not answered".to_owned(),
        (_, unanswered) => format!(", the last {unanswered} not answered"),
    };
    format!("{sent}{more} {probes}{answers}")
}

fn bytes(count: u32) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} byte{s}", grouped(count.into()))
}
