//! Writes the moments of a story as JSON objects. Events of the live log have the live log's format, with the host
//! added; `dropped_by` is the index of the rule. See `tcpwatch/view/src/schema.json`.

use serde::Serialize;
use tcpwatch_core::{
    event::{KernelTime, TcpState, WallClock},
    sink::Sink as _,
    track::TrackedEvent,
};
use tcpwatch_view::json_lines::JsonLines;

use crate::{
    scenario::{Scenario, Signal},
    show::words,
    story::{MomentKind, StoryEvent, SystemCall},
};

/// Writes the moments of one run.
pub(super) struct MomentWriter<'a> {
    scenario: &'a Scenario,
    clock: &'a WallClock,
    lines: JsonLines,
}

impl<'a> MomentWriter<'a> {
    pub(super) fn new(scenario: &'a Scenario, clock: &'a WallClock) -> Self {
        Self { scenario, clock, lines: JsonLines::default() }
    }

    /// A time as text, in UTC.
    pub(super) fn moment(&mut self, at: KernelTime) -> String {
        self.lines.moment(at, self.clock)
    }

    /// Appends a moment's object.
    pub(super) fn write(&mut self, moment: &StoryEvent, out: &mut Vec<u8>) {
        let Self { scenario, clock, lines } = self;
        lines.of_host(moment.host.name());
        let mut line = |event, member: &Member<'_>| {
            lines.line(event, moment.at, clock, out, member);
        };
        let rule = |slot| words::rule(scenario, slot);
        match &moment.what {
            MomentKind::Called(call) => line("call", &Member::Call(Called::of(call))),
            MomentKind::Returned(call) => line("return", &Member::Call(Called::of(call))),
            MomentKind::Signal(signal) => {
                let name = match signal {
                    Signal::Stop => "SIGSTOP",
                    Signal::Continue => "SIGCONT",
                    Signal::Kill => "SIGKILL",
                };
                line("signal", &Member::Signal { signal: name });
            }
            MomentKind::Segment(segment) => {
                lines.tracked(&TrackedEvent::Segment(segment.clone()), clock, out);
            }
            MomentKind::RuleSet(slot) => line("rule_set", &Member::Rule { rule: rule(*slot) }),
            MomentKind::RuleReleased(slot) => {
                line("rule_released", &Member::Rule { rule: rule(*slot) });
            }
            MomentKind::Witness(states) => line("witness", &Member::Witness { states }),
            MomentKind::TrackedEvent(tracked) => lines.tracked(tracked, clock, out),
        }
        // The objects of an array are separated by commas, not by line feeds.
        if out.last() == Some(&b'\n') {
            out.pop();
        }
    }
}

/// The fields of a line that only the laboratory has.
#[derive(Serialize)]
#[serde(untagged)]
enum Member<'a> {
    Call(Called<'a>),
    Signal { signal: &'static str },
    Rule { rule: String },
    Witness { states: &'a [TcpState] },
}

#[derive(Serialize)]
struct Called<'a> {
    socket_name: &'a str,
    name: &'a str,
    call: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_name: Option<&'a str>,
}

impl<'a> Called<'a> {
    fn of(called: &'a SystemCall) -> Self {
        let SystemCall { socket, name, call, result } = called;
        let (result, errno_name) = match result {
            None => (None, None),
            Some(Ok(value)) => (Some(*value), None),
            Some(Err(error)) => (Some(-1), Some(error.as_str())),
        };
        Self { socket_name: socket, name, call, result, errno_name }
    }
}
