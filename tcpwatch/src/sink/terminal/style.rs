//! Colours by phase of a connection's life. They add to the words and never replace them.

use anstyle::{AnsiColor, Style};

use super::cell;
use crate::{event::TcpState, track::Change};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const HEADER: Style = Style::new().dimmed();
pub(crate) const FAILURE: Style = AnsiColor::Red.on_default();

pub(crate) const SETUP: Style = AnsiColor::Green.on_default();
const TEARDOWN: Style = AnsiColor::Yellow.on_default();
pub(crate) const HIDDEN: Style = AnsiColor::Cyan.on_default();

/// By the state that is entered.
pub(super) const fn of_change(change: &Change) -> Style {
    if change.inferred { FAILURE } else { of_state(change.to) }
}

/// Of a state that is entered.
pub(crate) const fn of_state(state: TcpState) -> Style {
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
pub(crate) fn paint(style: Style, text: &[u8], color: bool, out: &mut Vec<u8>) {
    if !color || style.is_plain() {
        out.extend_from_slice(text);
        return;
    }
    cell::display(&style.render(), out);
    out.extend_from_slice(text);
    cell::display(&style.render_reset(), out);
}
