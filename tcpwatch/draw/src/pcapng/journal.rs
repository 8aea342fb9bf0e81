//! What happened between the packets, as entries of a systemd journal: Wireshark shows each as a row of its own, and
//! filters it by its fields, without a plugin.

use tcpwatch_core::event::{KernelTime, WallClock};
use tcpwatch_core::track::TrackedEvent;
use tcpwatch_lab::{
    scenario::Signal,
    story::{MomentKind, Run, StoryEvent, SystemCall},
};
use tcpwatch_view::{terminal, words};

use super::block::{Body, JOURNAL};

/// An entry: its message, and fields of its own.
struct Entry {
    kind: &'static str,
    message: String,
    fields: Vec<(&'static str, String)>,
}

/// Appends the entry of an event; nothing for a segment, which is a packet, and for a query.
pub(super) fn write(run: &Run, event: &StoryEvent, clock: &WallClock, out: &mut Vec<u8>) {
    let Some(Entry { kind, message, fields }) = entry(run, event) else { return };
    let mut text = Vec::new();
    let mut field = |name: &str, value: &str| {
        // A line feed would end the value.
        let value = value.replace(char::is_control, " ");
        text.extend_from_slice(format!("{name}={value}\n").as_bytes());
    };
    field("__REALTIME_TIMESTAMP", &(clock.unix_ns(event.at) / 1000).to_string());
    field("__MONOTONIC_TIMESTAMP", &(event.at.0 / 1000).to_string());
    field("MESSAGE", &format!("{} {message}", event.host));
    field("SYSLOG_IDENTIFIER", "tcpwatch");
    field("_HOSTNAME", event.host.name());
    field("TCPWATCH_EVENT", kind);
    field("TCPWATCH_MONO_NS", &event.at.0.to_string());
    for (name, value) in &fields {
        field(name, value);
    }
    Body::default().padded(&text).write(JOURNAL, out);
}

fn entry(run: &Run, event: &StoryEvent) -> Option<Entry> {
    let entry = |kind, message: String| Some(Entry { kind, message, fields: Vec::new() });
    let rule = |slot: usize| run.scenario.rules.get(slot).map_or("?", |rule| rule.name.as_str());
    match &event.what {
        MomentKind::Called(call) => entry("call", format!("{} \u{2026}", call.call)),
        MomentKind::Returned(call) => entry("return", SystemCall::line(call)),
        MomentKind::Signal(signal) => {
            let word = match signal {
                Signal::Stop => "SIGSTOP",
                Signal::Continue => "SIGCONT",
                Signal::Kill => "SIGKILL",
            };
            entry("signal", format!("gets {word}"))
        }
        MomentKind::RuleSet(slot) => entry("rule_set", format!("drops by rule {}", rule(*slot))),
        MomentKind::RuleReleased(slot) => {
            entry("rule_released", format!("does not drop by rule {} any more", rule(*slot)))
        }
        MomentKind::TrackedEvent(tracked) => of_tracked(tracked),
        MomentKind::Segment(_) | MomentKind::Witness(_) => None,
    }
}

fn of_tracked(tracked: &TrackedEvent) -> Option<Entry> {
    Some(match tracked {
        TrackedEvent::Change(change) => {
            let (from, to) = (change.from, change.to);
            let after = change.in_state.map(|time| format!(" after {} s", time.as_secs_f64()));
            let why = terminal::change_words(change).map(|why| format!(", {why}"));
            let inferred = if change.inferred { " (inferred)" } else { "" };
            let message = format!(
                "{from} -> {to}{}{}{inferred}",
                after.unwrap_or_default(),
                why.unwrap_or_default()
            );
            let mut fields =
                vec![("TCPWATCH_FROM", from.to_string()), ("TCPWATCH_TO", to.to_string())];
            fields.extend(change.reason.map(|why| ("TCPWATCH_REASON", why.word().to_owned())));
            fields.extend(change.ends_at.map(|at| ("TCPWATCH_ENDS_IN_S", until(change.at, at))));
            Entry { kind: "state", message, fields }
        }
        TrackedEvent::Restart(restart) => {
            let message = format!("{}: its timer starts anew", restart.state);
            let ends = restart.ends_at.map(|at| ("TCPWATCH_ENDS_IN_S", until(restart.at, at)));
            Entry { kind: "restart", message, fields: ends.into_iter().collect() }
        }
        TrackedEvent::Retransmit(again) => {
            let after = again.since_last.map(|time| format!(" after {} s", time.as_secs_f64()));
            let sent = if again.sent { "" } else { ", which the network did not take" };
            let (kind, attempt) = (again.segment.word(), again.attempt);
            let after = after.unwrap_or_default();
            let message = format!("sends {kind} again, attempt {attempt}{after}{sent}");
            let fields = vec![("TCPWATCH_ATTEMPT", attempt.to_string())];
            Entry { kind: "retransmit", message, fields }
        }
        TrackedEvent::Reset(reset) => {
            let why = reset.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let way = match reset.direction {
                tcpwatch_core::event::ResetDirection::Sent => "sends",
                tcpwatch_core::event::ResetDirection::Received => "receives",
            };
            Entry { kind: "reset", message: format!("{way} a reset{why}"), fields: Vec::new() }
        }
        TrackedEvent::Error(error) => {
            let message = format!("gets an error: {}", words::error(error.event.error));
            Entry { kind: "error", message, fields: Vec::new() }
        }
        _ => return None,
    })
}

fn until(from: KernelTime, to: KernelTime) -> String {
    to.since(from).as_secs_f64().to_string()
}
