//! The state machine with its counts, from left to right as a connection's life goes.

use tcpwatch_core::event::TcpState;

use super::{canvas::Canvas, look, text::short};
use crate::{counts::StateCounts, screen::Screen};

/// Columns from which on rates are shown, too.
const RATES_COLUMNS: u16 = 142;

/// How many sockets are in each state, and in which a finding is about some.
struct MachineCounts {
    all: StateCounts,
    wrong: Vec<TcpState>,
}

impl MachineCounts {
    fn of(screen: &mut Screen) -> Self {
        let all = screen.shown().sockets.counts.clone();
        let states = TcpState::ALL.iter().copied();
        let is_wrong = |state: &TcpState| all.of(*state) > 0 && screen.findings.has(*state);
        let wrong = states.filter(is_wrong).collect();
        Self { all, wrong }
    }
}

/// In three lines of fixed places; returns how many.
pub(super) fn lines(screen: &mut Screen, canvas: &mut Canvas<'_>, y: u16) -> u16 {
    const PLACES: [(TcpState, u16, u16, bool); 11] = [
        (TcpState::Listen, 1, 0, true),
        (TcpState::SynRecv, 15, 0, true),
        (TcpState::Established, 31, 0, true),
        (TcpState::FinWait1, 50, 0, true),
        (TcpState::Closing, 68, 0, false),
        (TcpState::SynSent, 1, 1, true),
        (TcpState::FinWait2, 31, 1, true),
        (TcpState::TimeWait, 50, 1, true),
        (TcpState::Closed, 67, 1, false),
        (TcpState::CloseWait, 31, 2, true),
        (TcpState::LastAck, 50, 2, true),
    ];
    let counts = MachineCounts::of(screen);
    for (state, x, line, leads_on) in PLACES {
        let end = node(canvas, (x, y + line), state, &counts, false);
        if leads_on {
            canvas.put(end + 1, y + line, "\u{25b6}", look::DIM);
        }
    }
    3
}

/// In three lines, the ways from state to state drawn; returns how many.
pub(super) fn diagram(screen: &mut Screen, canvas: &mut Canvas<'_>, y: u16, width: u16) -> u16 {
    let counts = MachineCounts::of(screen);
    let rates = width >= RATES_COLUMNS;
    let more = if rates { 7 } else { 0 };
    // Columns of the nodes: name, space, count, exclamation mark, rate.
    let handshake = 1 + 2 + 11 + 1 + 14 + more;
    let open = handshake + 2 + 17 + more;
    let closing = open + 2 + 16 + more;
    let last = closing + 2 + 16 + more;
    let branch = |canvas: &mut Canvas<'_>, x, row, symbol: &str, state| {
        let x = canvas.put(x, y + row, symbol, look::DIM);
        node(canvas, (x, y + row), state, &counts, rates)
    };
    let to = |canvas: &mut Canvas<'_>, from: u16, end: u16, row| {
        for x in from..end {
            canvas.put(x, y + row, "\u{2500}", look::DIM);
        }
    };
    node(canvas, (1, y + 1), TcpState::Closed, &counts, rates);
    let x = branch(canvas, 1, 0, "\u{250c}\u{25b6}", TcpState::SynSent);
    to(canvas, x, handshake, 0);
    canvas.put(handshake, y, "\u{2510}", look::DIM);
    let x = branch(canvas, 1, 2, "\u{2514}\u{25b6}", TcpState::Listen);
    let x = branch(canvas, x, 2, "\u{25b6}", TcpState::SynRecv);
    to(canvas, x, handshake, 2);
    canvas.put(handshake, y + 2, "\u{2518}", look::DIM);
    let x = branch(canvas, handshake, 1, "\u{251c}\u{25b6}", TcpState::Established);
    to(canvas, x, open, 1);
    canvas.put(open, y + 1, "\u{2524}", look::DIM);
    let x = branch(canvas, open, 0, "\u{250c}\u{25b6}", TcpState::FinWait1);
    to(canvas, x, closing, 0);
    let x = branch(canvas, closing, 0, "\u{252c}\u{25b6}", TcpState::FinWait2);
    to(canvas, x, last, 0);
    branch(canvas, last, 0, "\u{252c}\u{25b6}", TcpState::TimeWait);
    let x = branch(canvas, closing, 1, "\u{2514}\u{25b6}", TcpState::Closing);
    to(canvas, x, last, 1);
    canvas.put(last, y + 1, "\u{2518}", look::DIM);
    let x = branch(canvas, open, 2, "\u{2514}\u{25b6}", TcpState::CloseWait);
    to(canvas, x, closing, 2);
    branch(canvas, closing, 2, "\u{2500}\u{25b6}", TcpState::LastAck);
    canvas.row(y + 3, width, "\u{2500}", look::DIM);
    4
}

/// A state and how many are in it; returns the column behind it. Of CLOSED there is only how many enter it.
fn node(
    canvas: &mut Canvas<'_>,
    (x, y): (u16, u16),
    state: TcpState,
    counts: &MachineCounts,
    rates: bool,
) -> u16 {
    let (count, rate) = (counts.all.of(state), counts.all.rate(state));
    let mark = if counts.wrong.contains(&state) { "!" } else { "" };
    let text = match state {
        TcpState::Closed => format!("{state} {}/s", short(rate)),
        TcpState::Listen => format!("{state} {}{mark}", short(count)),
        _ if rates => format!("{state} {}{mark} {}/s", short(count), short(rate)),
        _ => format!("{state} {}{mark}", short(count)),
    };
    let is_there = count > 0 || state == TcpState::Closed && rate > 0;
    let style = match (mark, is_there) {
        ("!", _) => look::failure(),
        (_, true) => look::state(state),
        (_, false) => look::DIM,
    };
    canvas.put(x, y, &text, style)
}
