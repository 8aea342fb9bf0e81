//! Writes the moments of a story as JSON objects. Events of the live log have the live log's format, with the host
//! added; `dropped_by` is the index of the rule. See `tcpwatch/view/src/schema.json`.

use tcpwatch_core::{
    event::{KernelTime, WallClock},
    sink::Sink as _,
    track::News,
};
use tcpwatch_view::{
    json_lines::JsonLines,
    json_object::{Object, escape, key},
};

use crate::{
    scenario::{Scenario, Signal},
    show::words,
    story::{Moment, MomentKind, SystemCall},
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
    pub(super) fn write(&mut self, moment: &Moment, out: &mut Vec<u8>) {
        let Self { scenario, clock, lines } = self;
        lines.of_host(moment.host.name());
        let mut line = |event, fill: &dyn Fn(&mut Object<'_>)| {
            lines.line(event, moment.at, clock, out, fill);
        };
        match &moment.what {
            MomentKind::Called(call) => line("call", &|line| write_call(line, call)),
            MomentKind::Returned(call) => line("return", &|line| write_call(line, call)),
            MomentKind::Signal(signal) => line("signal", &|line| {
                let name = match signal {
                    Signal::Stop => "SIGSTOP",
                    Signal::Continue => "SIGCONT",
                    Signal::Kill => "SIGKILL",
                };
                line.word(key!("signal"), name);
            }),
            MomentKind::Segment(segment) => lines.news(&News::Segment(segment.clone()), clock, out),
            MomentKind::RuleSet(slot) => {
                line("rule_set", &|line| line.text(key!("rule"), &words::rule(scenario, *slot)));
            }
            MomentKind::RuleReleased(slot) => {
                let name = words::rule(scenario, *slot);
                line("rule_released", &|line| line.text(key!("rule"), &name));
            }
            MomentKind::Witness(states) => line("witness", &|line| {
                line.array(key!("states"), states, |state, out| escape(&state.to_string(), out));
            }),
            MomentKind::News(news) => lines.news(news, clock, out),
        }
        // The objects of an array are separated by commas, not by line feeds.
        if out.last() == Some(&b'\n') {
            out.pop();
        }
    }
}

fn write_call(line: &mut Object<'_>, call: &SystemCall) {
    let SystemCall { socket, name, call, result } = call;
    line.text(key!("socket_name"), socket);
    line.text(key!("name"), name);
    line.text(key!("call"), call);
    match result {
        None => {}
        Some(Ok(value)) => line.number(key!("result"), *value),
        Some(Err(error)) => {
            line.number(key!("result"), -1);
            line.text(key!("errno_name"), error);
        }
    }
}
