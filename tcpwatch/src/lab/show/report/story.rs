//! Moments of a story as JSON objects. What the live log tells is told in its own words, with the
//! host added; see `sink/schema.json`.

use super::text;
use crate::{
    event::{KernelTime, SegmentEvent, TcpFlags, TcpOptions, WallClock, Way},
    lab::{
        scenario::{Scenario, Signal},
        show::words,
        story::{Moment, SystemCall, What},
    },
    sink::{
        Sink as _,
        json_lines::{JsonLines, write_ends},
        json_object::{Object, key},
    },
};

/// Tells the moments of one run.
pub(super) struct Teller<'a> {
    scenario: &'a Scenario,
    clock: &'a WallClock,
    lines: JsonLines,
}

impl<'a> Teller<'a> {
    pub(super) fn new(scenario: &'a Scenario, clock: &'a WallClock) -> Self {
        Self { scenario, clock, lines: JsonLines::default() }
    }

    /// A moment as text, in UTC.
    pub(super) fn moment(&mut self, at: KernelTime) -> String {
        self.lines.moment(at, self.clock)
    }

    /// Appends a moment's object.
    pub(super) fn tell(&mut self, moment: &Moment, out: &mut Vec<u8>) {
        let Self { scenario, clock, lines } = self;
        lines.of_host(moment.host.name());
        let mut line = |event, fill: &dyn Fn(&mut Object<'_>)| {
            lines.line(event, moment.at, clock, out, fill);
        };
        match &moment.what {
            What::Called(call) => line("call", &|line| write_call(line, call)),
            What::Returned(call) => line("return", &|line| write_call(line, call)),
            What::Signal(signal) => line("signal", &|line| {
                let name = match signal {
                    Signal::Stop => "SIGSTOP",
                    Signal::Continue => "SIGCONT",
                    Signal::Kill => "SIGKILL",
                };
                line.word(key!("signal"), name);
            }),
            What::Segment(segment) => {
                line("segment", &|line| write_segment(line, segment, scenario));
            }
            What::RuleSet(slot) => {
                line("rule_set", &|line| line.text(key!("rule"), &words::rule(scenario, *slot)));
            }
            What::RuleReleased(slot) => {
                let name = words::rule(scenario, *slot);
                line("rule_released", &|line| line.text(key!("rule"), &name));
            }
            What::Witness(states) => line("witness", &|line| {
                line.array(key!("states"), states, |state, out| text(&state.to_string(), out));
            }),
            What::News(news) => lines.news(news, clock, out),
        }
        // Objects of a list have commas between them.
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

fn write_segment(line: &mut Object<'_>, segment: &SegmentEvent, scenario: &Scenario) {
    let SegmentEvent { at: _, netns, ends, way, flags, seq, ack, len, window, options, dropped_by } =
        *segment;
    line.number(key!("netns"), netns.0);
    write_ends(line, &ends);
    let direction = match way {
        Way::In => "in",
        Way::Out => "out",
    };
    line.word(key!("direction"), direction);
    line.array(key!("flags"), names(flags), text);
    line.number(key!("seq"), seq);
    line.number(key!("ack"), ack);
    line.number(key!("len"), len);
    line.number(key!("window"), window);
    line.object(key!("options"), |object| write_options(object, options));
    match dropped_by {
        Some(slot) => line.text(key!("dropped_by"), &words::rule(scenario, slot.into())),
        None => line.null(key!("dropped_by")),
    }
}

fn write_options(object: &mut Object<'_>, options: TcpOptions) {
    let TcpOptions { mss, window_scale, sack_permitted, timestamps, sack_blocks, fast_open } =
        options;
    if let Some(mss) = mss {
        object.number(key!("mss"), mss);
    }
    if let Some(window_scale) = window_scale {
        object.number(key!("window_scale"), window_scale);
    }
    if sack_permitted {
        object.yes(key!("sack_permitted"));
    }
    if let Some((value, echo)) = timestamps {
        object.number(key!("timestamp"), value);
        object.number(key!("timestamp_echo"), echo);
    }
    if sack_blocks > 0 {
        object.number(key!("sack_blocks"), sack_blocks);
    }
    if fast_open {
        object.yes(key!("fast_open"));
    }
}

/// The flags that are set, in the order of their bits in a drawing of the header.
fn names(flags: TcpFlags) -> impl Iterator<Item = &'static str> {
    [
        (TcpFlags::URG, "URG"),
        (TcpFlags::ACK, "ACK"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
    ]
    .into_iter()
    .filter(move |(flag, _)| flags.has(*flag))
    .map(|(_, name)| name)
}
