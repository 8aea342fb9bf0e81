//! One JSON object a line; the form is described by `schema.json` in the folder above.

mod life;
mod place;
mod segment;
mod why;

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tcpwatch_core::{
    event::{CgroupId, Cookie, Direction, Endpoint, KernelTime, Process, TcpState, WallClock},
    place::{Place, Places},
    sink::{Loss, Sink, Summary},
    track::{Change, Existing, News, Restart, Subject},
};

use super::{
    json_object::{Key, Object, key, member},
    timestamp::Calendar,
};

/// Version of the form: grows when a field changes its meaning, not when one is added.
const SCHEMA_VERSION: u8 = 1;

/// The form of the lines, as JSON Schema.
pub const SCHEMA: &str = include_str!("../schema.json");

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    calendar: Calendar,
    host: Option<&'static str>,
    /// The latest moment of a line so far.
    newest: KernelTime,
    /// The line that is being written is about an earlier moment.
    late: bool,
    places: Places,
    /// Where the owner of the socket runs that the line is about.
    place: Option<Arc<Place>>,
}

impl Default for JsonLines {
    fn default() -> Self {
        let calendar = Calendar::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S");
        Self {
            calendar,
            host: None,
            newest: KernelTime(0),
            late: false,
            places: Places::default(),
            place: None,
        }
    }
}

impl JsonLines {
    /// From here on, lines are about this host of the laboratory, and name it.
    pub const fn of_host(&mut self, host: &'static str) {
        self.host = Some(host);
    }

    /// A moment other than that of the line.
    pub fn moment(&mut self, at: KernelTime, clock: &WallClock) -> String {
        let mut text = Vec::new();
        spell(&mut self.calendar, at, clock, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Appends a line: what is common to all, and what `fill` adds.
    pub fn line(
        &mut self,
        event: &'static str,
        at: KernelTime,
        clock: &WallClock,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Object<'_>),
    ) {
        Object::write(out, |line| {
            line.number(key!("schema"), SCHEMA_VERSION);
            line.word(key!("event"), event);
            line.spelled(key!("time"), |out| spell(&mut self.calendar, at, clock, out));
            line.number(key!("mono_ns"), at.0);
            if let Some(host) = self.host {
                line.word(key!("host"), host);
            }
            fill(line);
            if let Some(place) = &self.place {
                place::place(line, place);
            }
            if self.late {
                line.yes(key!("late"));
            }
        });
        out.push(b'\n');
    }
}

fn spell(calendar: &mut Calendar, at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
    calendar.write(clock.unix_ns(at), 9, out);
    out.push(b'Z');
}

impl Sink for JsonLines {
    fn place(&mut self, id: CgroupId, place: &Arc<Place>) {
        self.places.learn(id, Some(Arc::clone(place)));
    }

    fn news(&mut self, news: &News, clock: &WallClock, out: &mut Vec<u8>) {
        self.place = news.subject().cgroup.and_then(|id| self.places.get(id)).cloned();
        self.late = news.at() < self.newest;
        self.newest = self.newest.max(news.at());
        match news {
            News::Change(change) => {
                self.line("state", change.at, clock, out, |line| write_change(line, change));
            }
            News::Existing(existing) => {
                self.line("existing", existing.at, clock, out, |line| {
                    write_existing(line, existing);
                });
            }
            News::Restart(restart) => {
                self.line("restart", restart.at, clock, out, |line| write_restart(line, restart));
            }
            News::Retransmit(again) => {
                self.line("retransmit", again.at, clock, out, |line| why::retransmit(line, again));
            }
            News::Reset(reset) => {
                self.line("reset", reset.at, clock, out, |line| why::reset(line, reset));
            }
            News::Error(error) => {
                self.line("error", error.event.at, clock, out, |line| why::error(line, error));
            }
            News::Segment(segment) => {
                self.line("segment", segment.at, clock, out, |line| {
                    segment::segment(line, segment);
                });
            }
            News::Connection(connection) => {
                let opened = connection.opened.map(|opened| self.moment(opened, clock));
                self.line("connection", connection.at, clock, out, |line| {
                    life::connection(line, connection, opened.as_deref());
                });
            }
        }
        (self.late, self.place) = (false, None);
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("loss", loss.at, clock, out, |line| {
            line.word(key!("cause"), loss.cause.word());
            line.number(key!("count"), loss.count);
        });
    }

    fn summary(&mut self, summary: &Summary, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("summary", summary.at, clock, out, |line| write_summary(line, summary));
    }
}

fn write_change(line: &mut Object<'_>, change: &Change) {
    let Change {
        at,
        ref subject,
        from,
        to,
        in_state,
        reason,
        late_data,
        ends_at,
        asked,
        handshake,
        inferred,
        gap,
    } = *change;
    write_subject(line, subject);
    write_state(line, key!("from"), from);
    write_state(line, key!("to"), to);
    write_seconds(line, key!("in_state_s"), in_state);
    if let Some(reason) = reason {
        line.word(key!("reason"), reason.word());
    }
    if late_data {
        line.yes(key!("late_data"));
    }
    if asked {
        line.yes(key!("asked"));
    }
    if let Some(handshake) = handshake {
        line.word(key!("handshake"), handshake.word());
    }
    write_end(line, at, ends_at, inferred);
    if gap {
        line.yes(key!("gap"));
    }
}

fn write_restart(line: &mut Object<'_>, restart: &Restart) {
    let Restart { at, ref subject, state, in_state, ends_at, starts, inferred } = *restart;
    write_subject(line, subject);
    write_state(line, key!("state"), state);
    write_seconds(line, key!("in_state_s"), in_state);
    if starts {
        line.yes(key!("starts"));
    }
    write_end(line, at, ends_at, inferred);
}

fn write_existing(line: &mut Object<'_>, existing: &Existing) {
    let Existing { at, ref subject, state, in_state, at_least, ends_at } = *existing;
    write_subject(line, subject);
    write_state(line, key!("state"), state);
    write_seconds(line, key!("in_state_s"), in_state);
    if let Some(at_least) = at_least {
        line.seconds(key!("in_state_at_least_s"), at_least);
    }
    write_end(line, at, ends_at, false);
}

fn write_subject(line: &mut Object<'_>, subject: &Subject) {
    write_socket(line, subject);
    match subject.direction {
        Some(Direction::Outgoing) => line.whole(member!("direction", "outgoing")),
        Some(Direction::Incoming) => line.whole(member!("direction", "incoming")),
        Some(Direction::Both) => line.whole(member!("direction", "both")),
        None => line.null(key!("direction")),
    }
    write_owner(line, subject);
}

fn write_socket(line: &mut Object<'_>, subject: &Subject) {
    let Subject { socket, netns, ends, cgroup: _, direction: _, process: _, inherited: _ } =
        *subject;
    match socket {
        Some(Cookie(number)) => line.number(key!("socket"), number),
        None => line.null(key!("socket")),
    }
    line.number(key!("netns"), netns.0);
    line.whole(match ends.local.address {
        IpAddr::V4(_) => member!("family", "ipv4"),
        IpAddr::V6(_) => member!("family", "ipv6"),
    });
    line.object(key!("local"), |end| write_endpoint(end, ends.local));
    line.object(key!("remote"), |end| write_endpoint(end, ends.remote));
}

fn write_owner(line: &mut Object<'_>, subject: &Subject) {
    match subject.process {
        Some(process) => line.object(key!("process"), |object| write_process(object, process)),
        None => line.null(key!("process")),
    }
}

fn write_endpoint(object: &mut Object<'_>, Endpoint { address, port }: Endpoint) {
    match address {
        IpAddr::V4(address) => object.dotted(key!("addr"), address),
        IpAddr::V6(address) => object.displayed(key!("addr"), &address),
    }
    object.number(key!("port"), port);
}

fn write_process(object: &mut Object<'_>, process: Process) {
    let Process { pid, comm, thread, uid, via } = process;
    match pid {
        Some(pid) => object.number(key!("pid"), pid),
        None => object.null(key!("pid")),
    }
    object.bytes(key!("comm"), comm.as_bytes());
    if let Some(thread) = thread {
        object.bytes(key!("thread"), thread.as_bytes());
    }
    if let Some(uid) = uid {
        object.number(key!("uid"), uid);
    }
    object.word(key!("via"), via.word());
}

fn write_seconds(line: &mut Object<'_>, name: Key, duration: Option<Duration>) {
    match duration {
        Some(duration) => line.seconds(name, duration),
        None => line.null(name),
    }
}

fn write_state(line: &mut Object<'_>, name: Key, state: TcpState) {
    match state.name() {
        Some(word) => line.word(name, word),
        None => line.displayed(name, &state),
    }
}

fn write_end(line: &mut Object<'_>, at: KernelTime, ends_at: Option<KernelTime>, inferred: bool) {
    if let Some(ends_at) = ends_at {
        line.seconds(key!("ends_in_s"), ends_at.since(at));
    }
    if inferred {
        line.yes(key!("inferred"));
    }
}

fn write_summary(line: &mut Object<'_>, summary: &Summary) {
    let Summary {
        at: _,
        ran,
        changes,
        inferred,
        attempted,
        received,
        ref lost,
        out_of_order,
        connections,
        open,
    } = *summary;
    line.seconds(key!("ran_s"), ran);
    line.number(key!("changes"), changes);
    line.number(key!("inferred"), inferred);
    line.number(key!("attempted"), attempted);
    line.number(key!("received"), received);
    line.object(key!("lost"), |object| {
        for (cause, count) in lost {
            object.number(cause.word(), *count);
        }
    });
    line.number(key!("out_of_order"), out_of_order);
    line.number(key!("connections"), connections);
    line.number(key!("open"), open);
}
