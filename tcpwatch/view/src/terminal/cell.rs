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
pub(super) const GUESS: &str = " (listener)";
/// The same where there is little room.
pub(super) const SHORT_GUESS: &str = "?";

/// Appends the owner: name, number, and the mark of a guess.
pub(super) fn owner(subject: &Subject, guess: &str, out: &mut Vec<u8>) {
    let Some(Process { pid, comm, .. }) = subject.process else {
        out.push(b'-');
        return;
    };
    name(comm, out);
    // A process outside of this pid namespace has no number here.
    if let Some(pid) = pid {
        out.push(b' ');
        number(pid, out);
    }
    if subject.inherited {
        out.extend_from_slice(guess.as_bytes());
    }
}

/// Appends an end of which the port is enough: `:80`, or `*` if there is none yet.
pub(super) fn port(end: &Endpoint, out: &mut Vec<u8>) {
    if end.port == 0 {
        out.push(b'*');
        return;
    }
    out.push(b':');
    number(end.port.into(), out);
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
    fn an_end_that_does_not_exist_is_a_star() {
        let mut out = Vec::new();
        endpoint(&Endpoint { address: [0, 0, 0, 0].into(), port: 0 }, &mut out);
        assert_eq!(out, b"*");
    }
}
