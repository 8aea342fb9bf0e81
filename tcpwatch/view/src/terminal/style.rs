//! Colours by phase of a connection's life. They add to the words and never replace them.

use anstyle::{AnsiColor, Style};
use tcpwatch_core::{event::TcpState, track::Change};

use super::cell;

/// What needs no emphasis.
pub const PLAIN: Style = Style::new();
/// Titles, and what is there for orientation.
pub const HEADER: Style = Style::new().dimmed();
/// What went wrong, and what is not certain.
pub const FAILURE: Style = AnsiColor::Red.on_default();

/// States on the way to ESTABLISHED.
pub const SETUP: Style = AnsiColor::Green.on_default();
const TEARDOWN: Style = AnsiColor::Yellow.on_default();
/// TIME_WAIT.
pub const HIDDEN: Style = AnsiColor::Cyan.on_default();

/// By the state that is entered.
pub(super) const fn of_change(change: &Change) -> Style {
    if change.inferred { FAILURE } else { of_state(change.to) }
}

/// Of a state that is entered.
#[must_use]
pub const fn of_state(state: TcpState) -> Style {
    match state {
        TcpState::Listen | TcpState::SynSent | TcpState::SynRecv => SETUP,
        TcpState::Established => PLAIN,
        TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::Closing
        | TcpState::LastAck
        | TcpState::Closed => TEARDOWN,
        TcpState::TimeWait => HIDDEN,
        TcpState::Unknown(_) => FAILURE,
    }
}

/// Appends `text`, coloured if wanted.
pub fn paint(style: Style, text: &[u8], color: bool, out: &mut Vec<u8>) {
    if !color || style.is_plain() {
        out.extend_from_slice(text);
        return;
    }
    cell::display(&style.render(), out);
    out.extend_from_slice(text);
    cell::display(&style.render_reset(), out);
}
