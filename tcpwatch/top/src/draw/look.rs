//! Colours of the log, and what is left of them: `NO_COLOR`, `--ascii`. They add to the words and never replace
//! them.

use anstyle::AnsiColor;
use ratatui_core::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};
use tcpwatch_core::event::TcpState;
use tcpwatch_view::terminal::style;

use crate::screen::Theme;

pub(super) const PLAIN: Style = Style::new();
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// What went wrong.
pub(super) fn failure() -> Style {
    of(style::FAILURE).add_modifier(Modifier::BOLD)
}

/// Of a state.
pub(super) fn state(state: TcpState) -> Style {
    of(style::of_state(state))
}

fn of(style: anstyle::Style) -> Style {
    let color = match style.get_fg_color() {
        Some(anstyle::Color::Ansi(AnsiColor::Red)) => Color::Red,
        Some(anstyle::Color::Ansi(AnsiColor::Green)) => Color::Green,
        Some(anstyle::Color::Ansi(AnsiColor::Yellow)) => Color::Yellow,
        Some(anstyle::Color::Ansi(AnsiColor::Cyan)) => Color::Cyan,
        _ => return PLAIN,
    };
    PLAIN.fg(color)
}

/// Takes away what this terminal is not to be given.
pub(super) fn adapt(buffer: &mut Buffer, theme: Theme) {
    for cell in &mut buffer.content {
        if !theme.color {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
        if theme.ascii && !cell.symbol().is_ascii() {
            let plain = ascii(cell.symbol());
            cell.set_symbol(plain);
        }
    }
}

fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "\u{25b6}" | "\u{2192}" => ">",
        "\u{2190}" => "<",
        "\u{258c}" | "\u{2502}" | "\u{2524}" => "|",
        "\u{2500}" => "-",
        "\u{2026}" => "~",
        "\u{25bc}" => "v",
        "\u{25b2}" => "^",
        "\u{b7}" => ",",
        "\u{250c}" | "\u{2510}" | "\u{2514}" | "\u{2518}" | "\u{251c}" | "\u{252c}"
        | "\u{2534}" => "+",
        _ => "?",
    }
}
