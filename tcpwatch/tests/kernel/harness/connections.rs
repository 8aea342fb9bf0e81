//! Checks of lines about retransmissions, resets and errors, and of lines about whole connections.

use std::{net::SocketAddr, time::Duration};

use tcpwatch_core::timing::{Next, Schedule, Then, Window};

use super::{
    kernel::{ERROR_REPORTS, RESETS_EXPLAINED},
    line::Line,
    lives::{seconds, transcript},
    watch::Watch,
};

/// By how much more than the timer wheel allows an event may be late on a busy machine.
const BUSY: f64 = 0.3;
/// Times are written in nanoseconds and read as floating-point numbers.
const EXACT: f64 = 1e-6;

type Ends = (SocketAddr, SocketAddr);

/// Lines of this event about the socket with these ends, in the order of time.
pub(crate) fn about<'a>(
    lines: &'a [Line],
    event: &str,
    (local, remote): Ends,
) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.event == event && line.joins(local, remote))
}

/// Everything that the socket retransmitted, all of one kind.
pub(crate) fn retries<'a>(lines: &'a [Line], kind: &str, ends: Ends) -> Vec<&'a Line> {
    let found: Vec<_> = about(lines, "retransmit", ends).collect();
    assert!(found.iter().all(|line| line.kind.as_deref() == Some(kind)), "{}", transcript(lines));
    found
}

/// The one line about the whole connection.
pub(crate) fn connection(lines: &[Line], ends: Ends) -> &Line {
    let found: Vec<_> = about(lines, "connection", ends).collect();
    let [line] = found[..] else { panic!("one line for {ends:?}:\n{}", transcript(lines)) };
    line
}

/// Errors that the application gets.
pub(crate) fn sees(lines: &[Line], ends: Ends, errno: i32) {
    let errors: Vec<_> = about(lines, "error", ends).map(|line| line.errno).collect();
    if errors.is_empty() {
        ERROR_REPORTS.is_lacking();
    } else {
        assert_eq!(errors, [Some(errno)]);
    }
}

/// Whether the kernel reports why it sends a reset, and resets without a full socket.
pub(crate) fn explains_resets() -> bool {
    RESETS_EXPLAINED.is_there()
}

/// Waits for the line about the whole connection.
pub(crate) fn await_connection(watch: &Watch, span: Duration, ends: Ends) {
    watch.wait_within(span, "the line about the connection", |lines| {
        about(lines, "connection", ends).next().map(drop)
    });
}

/// The endpoints as the other side has them.
pub(crate) const fn turned((local, remote): Ends) -> Ends {
    (remote, local)
}

/// A timer of the kernel: never early, late only as the wheel and a busy machine allow.
pub(crate) fn lasted(took: f64, Window { promise, latest }: Window) {
    let tick = tcpwatch_kernel::clock::tick_rate().duration(1).as_secs_f64();
    assert!(took >= promise.as_secs_f64() - tick, "{took} s is earlier than {promise:?}");
    assert!(took <= latest.as_secs_f64() + BUSY, "{took} s is later than {latest:?}");
}

/// Two times that are equal.
pub(crate) fn same(told: Option<f64>, expected: f64) {
    let told = told.unwrap_or_else(|| panic!("{expected} s is not reported"));
    assert!((told - expected).abs() < EXACT, "{told} s reported, {expected} s expected");
}

/// The line announces what comes next.
pub(crate) fn announces(line: &Line, Next { wait, then }: Next) {
    let (attempt, end) = (
        (line.next_in_s, line.next_in_at_most_s),
        (line.gives_up_in_s, line.gives_up_in_at_most_s),
    );
    let ((soonest, latest), other) = match then {
        Then::Attempt | Then::Either => (attempt, end),
        Then::GivesUp => (end, attempt),
    };
    assert_eq!(other, (None, None), "{line}");
    same(soonest, wait.promise.as_secs_f64());
    same(latest, wait.latest.as_secs_f64());
}

/// What was first sent at `first_ns` and given up at `end_ns` was retransmitted by the schedule: each attempt was
/// reported once, with its number, at its time, and with what comes next.
pub(crate) fn keeps_to(schedule: &Schedule, told: &[&Line], first_ns: u64, end_ns: u64) {
    assert_eq!(told.len(), schedule.attempts.len(), "{schedule:?}\n{}", transcript(told));
    let mut before = first_ns;
    for (number, line) in (1..).zip(told) {
        assert_eq!(line.attempt, Some(number), "{line}");
        let number = usize::try_from(number).unwrap();
        let passed = seconds(before, line.mono_ns);
        same(line.since_last_s, passed);
        lasted(passed, schedule.gap(number).unwrap());
        announces(line, schedule.after(number).unwrap());
        before = line.mono_ns;
    }
    lasted(seconds(before, end_ns), schedule.after(told.len()).unwrap().wait);
}

/// The times in the states add up: to the time until both sides had closed, and with TIME_WAIT to the whole time.
pub(crate) fn adds_up(line: &Line) {
    let near = |told: f64, expected: f64| {
        assert!(
            (told - expected).abs() < 0.001,
            "{told} s reported, {expected} s expected: {line}"
        );
    };
    let (time_wait, rest): (Vec<_>, Vec<_>) =
        line.states_s.iter().partition(|(state, _)| *state == "TIME_WAIT");
    let sum = |states: Vec<(&String, &f64)>| states.into_iter().map(|(_, time)| time).sum::<f64>();
    let until_closed = sum(rest);
    near(until_closed, line.lasted_s.unwrap());
    near(until_closed + sum(time_wait), seconds(line.opened_mono_ns.unwrap(), line.mono_ns));
}
