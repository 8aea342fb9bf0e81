//! Cells of a line: text and padding, appended to bytes. The formatting machinery of the standard
//! library would be most of a line's cost.

use std::{io::Write as _, net::IpAddr};

use super::super::dotted::write_dotted;

use tcpwatch_core::{
    event::{Endpoint, Process, TcpState, process::Comm},
    track::Subject,
};

/// Appends a number.
pub(super) fn number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends spaces, so that what began at `start` is `width` wide; a cell of ASCII only.
pub(super) fn pad(start: usize, width: usize, out: &mut Vec<u8>) {
    let end = start + width;
    if out.len() < end {
        out.resize(end, b' ');
    }
}

/// Appends text of ASCII only, padded.
pub(super) fn text(text: &str, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    pad(start, width, out);
}

/// Appends a state's name, padded to the longest.
pub(super) fn state(state: TcpState, out: &mut Vec<u8>) {
    let start = out.len();
    match state.name() {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => display(&state, out),
    }
    pad(start, "ESTABLISHED".len(), out);
}

/// Between the state that was left and the one that was entered, at once or, with a gap, perhaps by way of
/// others.
pub(super) const fn link(gap: bool) -> &'static str {
    if gap { " \u{21e2} " } else { " \u{2192} " }
}

/// Appends a process's name.
fn name(comm: Comm, out: &mut Vec<u8>) {
    if comm.is_plain() {
        out.extend_from_slice(comm.as_bytes());
    } else {
        foreign(&comm.to_string(), out);
    }
}

/// Appends text that is not ours: one column a character, so that it can be cut anywhere, and nothing
/// that a terminal obeys.
pub(super) fn foreign(text: &str, out: &mut Vec<u8>) {
    out.extend(text.chars().map(|c| match c {
        ' '..='~' => u8::try_from(c).unwrap_or(b'?'),
        _ => b'?',
    }));
}

/// Behind an owner that is a guess: the process of the listener.
const GUESS: &[u8] = b" (listener)";

/// Appends the owner, in at most `room` columns if that can be done without losing its pid, the mark of a guess,
/// or, if nothing may be cut, its name.
pub(super) fn owner(subject: &Subject, room: usize, cut: bool, out: &mut Vec<u8>) {
    let Some(Process { pid, comm, .. }) = subject.process else {
        out.push(b'-');
        return;
    };
    let mut digits = itoa::Buffer::new();
    // A process outside of this pid namespace has no number here.
    let digits = pid.map_or("", |pid| digits.format(pid)).as_bytes();
    let number = if digits.is_empty() { 0 } else { 1 + digits.len() };
    let mark = if subject.inherited { GUESS } else { b"" };
    let start = out.len();
    name(comm, out);
    let named = out.len() - start;
    let needed = named + number + mark.len();
    if cut && needed > room {
        let kept = named.saturating_sub(needed + 1 - room).max(1);
        out.truncate(start + kept.min(named));
        out.extend_from_slice("\u{2026}".as_bytes());
    }
    if number > 0 {
        out.push(b' ');
        out.extend_from_slice(digits);
    }
    out.extend_from_slice(mark);
}

/// Appends an endpoint, as its `Display` does.
pub(super) fn endpoint(end: &Endpoint, out: &mut Vec<u8>) {
    match end.address {
        IpAddr::V4(address) if end.port != 0 || !address.is_unspecified() => {
            write_dotted(address, out);
            out.push(b':');
            number(end.port.into(), out);
        }
        IpAddr::V4(_) | IpAddr::V6(_) => display(end, out),
    }
}

/// Appends whatever can be displayed, the slow way.
pub(super) fn display(what: &impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _written = write!(out, "{what}").is_ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcpwatch_core::event::{Endpoints, Netns, Via};

    use super::*;

    proptest! {
        #[test]
        fn an_endpoint_is_written_as_it_displays(address: IpAddr, port: u16) {
            let end = Endpoint { address, port };
            let mut out = Vec::new();
            endpoint(&end, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), end.to_string());
        }
    }

    #[test]
    fn a_narrow_terminal_cuts_the_owners_name_and_never_its_pid() {
        let end = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
        let process = Process::named(1234, Comm::from_text("demo-server"), Via::Listen);
        let subject = Subject {
            socket: None,
            netns: Netns(1),
            ends: Endpoints { local: end, remote: end },
            cgroup: None,
            direction: None,
            process: Some(process),
            inherited: true,
        };
        for (room, text) in [
            (27, "demo-server 1234 (listener)"),
            (26, "demo-serv\u{2026} 1234 (listener)"),
            (20, "dem\u{2026} 1234 (listener)"),
            (3, "d\u{2026} 1234 (listener)"),
        ] {
            let mut out = Vec::new();
            owner(&subject, room, true, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text, "{room}");
        }
    }

    #[test]
    fn an_end_that_does_not_exist_is_a_star() {
        let mut out = Vec::new();
        endpoint(&Endpoint { address: [0, 0, 0, 0].into(), port: 0 }, &mut out);
        assert_eq!(out, b"*");
    }
}
