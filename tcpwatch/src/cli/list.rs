//! The words of `tcpwatch list`.

use clap::Args;

use super::{
    args::{FilterArgs, Format, TimeFormat},
    color::Color,
};

/// Which sockets, and how.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What is listed.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Lines for people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Colour in text
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Moments in text; elapsed shows how long a timer has to run. JSON always has UTC and the kernel's clock
    #[arg(long, value_enum, default_value_t = TimeFormat::Local)]
    pub time: TimeFormat,
    /// Whole addresses and words, however narrow the terminal is
    #[arg(long)]
    pub wide: bool,
}
