//! Texts of the laboratory's output: segments, retransmissions, signals, rules, times.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::{
    event::{ErrorEvent, ResetDirection, SegmentEvent, SegmentKind, TcpFlags, Way, reset_reason},
    track::{Change, Reason, Restart, TrackedReset, TrackedRetransmit},
};
use tcpwatch_view::{
    terminal::{self, style},
    words,
};

use super::{
    connections::Connections,
    grid::{ColoredText, PerHost},
};
use crate::{
    host::Host,
    scenario::{Scenario, Signal},
};

/// A timer that has been restarted, or has started.
pub(super) fn restart(restart: &Restart) -> ColoredText {
    let text = if restart.starts { "\u{21bb} timer starts" } else { "\u{21bb} starts anew" };
    ColoredText::new(text, style::HIDDEN)
}

/// `60.27 s`, `0.204 s`: seconds with `decimals` decimals, truncated.
pub(super) fn seconds(duration: Duration, decimals: usize) -> String {
    let mut fraction = format!("{:09}", duration.subsec_nanos());
    fraction.truncate(decimals);
    format!("{}.{fraction} s", duration.as_secs())
}

/// A configured time without trailing zeros: `60 s`, `62.05 s`; rounded up to 10 ms above a second, to a millisecond
/// below.
pub(super) fn round_seconds(duration: Duration) -> String {
    let step = if duration < Duration::from_secs(1) { 1_000_000 } else { 10_000_000 };
    let steps = duration.as_nanos().div_ceil(step) * step;
    let text = format!("{}.{:03}", steps / 1_000_000_000, steps / 1_000_000 % 1000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Names segments, with sequence numbers relative to each side's SYN, if that was seen.
#[derive(Debug, Default)]
pub(super) struct Namer {
    connections: Connections,
    sides: BTreeMap<usize, PerHost<SideOf>>,
}

/// What one side of a connection has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SideOf {
    first: Option<u32>,
    acknowledged: Option<u32>,
}

impl Namer {
    /// `SYN+ACK`; `FIN, seq 1`; `ACK 2`; `5 bytes, seq 1`, longest first. Every FIN carries an acknowledgment; it is
    /// shown only if it acknowledges something new.
    pub(super) fn labels(&mut self, from: Host, segment: &SegmentEvent) -> Vec<String> {
        let host = match segment.way {
            Way::Out => from,
            Way::In => from.peer(),
        };
        let number = self.connections.number(host, None, &segment.ends).unwrap_or_default();
        let sides = self.sides.entry(number).or_default();
        let has = |flags| segment.flags.has(flags);
        let (syn, fin, rst) = (has(TcpFlags::SYN), has(TcpFlags::FIN), has(TcpFlags::RST));
        if syn {
            sides.of_mut(from).first = Some(segment.seq);
        }
        let ack = has(TcpFlags::ACK).then_some(segment.ack);
        let tracked = ack.is_some() && ack != sides.of(from).acknowledged;
        if ack.is_some() {
            sides.of_mut(from).acknowledged = ack;
        }
        let data = segment.len > 0;
        let bare = !(syn || fin || rst || data);
        let mut parts: Vec<String> = Vec::new();
        let mut flag = |shown: bool, word: &str| parts.extend(shown.then(|| word.to_owned()));
        flag(syn, "SYN");
        flag(fin, "FIN");
        flag(rst, "RST");
        flag(ack.is_some() && (syn || rst || (fin && tracked) || bare), "ACK");
        flag(segment.flags == TcpFlags::default(), "no flags");
        if data {
            let unit = if segment.len == 1 { "byte" } else { "bytes" };
            parts.push(format!("{} {unit}", segment.len));
        }
        let name = parts.join("+");
        let since = |host: Host, number: u32| Some(number.wrapping_sub(sides.of(host).first?));
        let numbers = match (bare, ack) {
            (true, Some(ack)) => since(from.peer(), ack).map(|ack| format!(" {ack}")),
            _ if fin || data => since(from, segment.seq).map(|seq| format!(", seq {seq}")),
            _ => None,
        };
        numbers
            .map(|numbers| format!("{name}{numbers}"))
            .into_iter()
            .chain([name.clone()])
            .collect()
    }
}

/// `SYN`, `SYN+ACK`, `FIN`, `data`.
pub(super) const fn kind(segment: SegmentKind) -> &'static str {
    match segment {
        SegmentKind::Syn => "SYN",
        SegmentKind::SynAck => "SYN+ACK",
        SegmentKind::Fin => "FIN",
        SegmentKind::Data => "data",
    }
}

/// `SYN retry 2, +2.02 s`, longest first.
pub(super) fn retry(again: &TrackedRetransmit) -> Vec<String> {
    let short = format!("{} retry {}", kind(again.segment), again.attempt);
    let gap = again.since_last.map(|gap| format!("{short}, +{}", seconds(gap, 2)));
    gap.into_iter().chain([short]).collect()
}

/// The longest text that fits.
pub(super) fn fitting(room: usize, texts: &[&str]) -> String {
    let fits = |text: &&&str| text.chars().count() <= room;
    texts.iter().find(fits).or(texts.last()).map_or_else(String::new, |text| (*text).to_owned())
}

/// A signal, in at most `room` columns if possible.
pub(super) fn signal(signal: Signal, room: usize) -> ColoredText {
    let texts: &[&str] = match signal {
        Signal::Stop => {
            &["stopped (SIGSTOP, by hand: Ctrl+Z)", "stopped (by hand: Ctrl+Z)", "stopped (Ctrl+Z)"]
        }
        Signal::Continue => &["continued (SIGCONT, by hand: fg)", "continued (fg)"],
        Signal::Kill => &["killed (SIGKILL, by hand: kill -9)", "killed (SIGKILL)"],
    };
    ColoredText::new(fitting(room, texts), anstyle::Style::new().bold())
}

/// A rule's name.
pub(super) fn rule(scenario: &Scenario, slot: usize) -> String {
    scenario.rules.get(slot).map_or_else(|| format!("rule #{slot}"), |rule| rule.name.clone())
}

/// `★ NAME`: dropped by this rule.
pub(super) fn dropped(scenario: &Scenario, slot: u8) -> ColoredText {
    ColoredText::new(format!("\u{2605} {}", rule(scenario, slot.into())), style::FAILURE)
}

/// A rule was set.
pub(super) fn rule_set(scenario: &Scenario, slot: usize) -> ColoredText {
    ColoredText::new(format!("rule {} set", rule(scenario, slot)), style::HIDDEN)
}

/// A rule was taken away.
pub(super) fn rule_released(scenario: &Scenario, slot: usize) -> ColoredText {
    ColoredText::new(format!("rule {} released", rule(scenario, slot)), style::HIDDEN)
}

/// Remarks on a change.
pub(super) fn remarks(change: &Change) -> Vec<ColoredText> {
    let odd = change.reason.is_some_and(Reason::is_failure);
    let look = if odd { style::FAILURE } else { style::PLAIN };
    let mut remarks = Vec::new();
    remarks.extend(terminal::change_words(change).map(|word| ColoredText::new(word, look)));
    remarks.extend(change.handshake.map(|how| ColoredText::plain(terminal::handshake_words(how))));
    remarks.extend(change.inferred.then(|| ColoredText::new("inferred", style::FAILURE)));
    remarks
}

/// `RST sent: tcp abort on close (closed with unread data)`
pub(super) fn reset(reset: &TrackedReset) -> ColoredText {
    let direction = match reset.direction {
        ResetDirection::Sent => "RST sent",
        ResetDirection::Received => "RST received",
    };
    let why = reset.why.as_ref().map(|why| format!(": {}", why.replace('_', " ")));
    let meaning = reset.why.as_deref().and_then(reset_reason::meaning);
    let meaning = meaning.map(|meaning| format!(" ({meaning})"));
    let text = [why, meaning].into_iter().flatten().collect::<String>();
    ColoredText::new(format!("{direction}{text}"), style::FAILURE)
}

/// `tcp abort on close: closed with unread data`, or the kernel's word alone where both take more room.
pub(super) fn why_reset(why: &str, room: usize) -> ColoredText {
    let word = why.replace('_', " ");
    let both = reset_reason::meaning(why).map(|meaning| format!("{word}: {meaning}"));
    let both = both.filter(|text| text.chars().count() <= room);
    ColoredText::new(both.unwrap_or(word), style::FAILURE)
}

/// The error that the application gets: `Connection timed out`.
pub(super) fn error(error: &ErrorEvent) -> ColoredText {
    ColoredText::new(words::error(error.error), style::FAILURE)
}
