//! The words of `tcpwatch doctor`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::args::{Format, duration, recording_file};

/// How long to look, and where.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How long to look: 30 (seconds), 1m30s
    #[arg(short, long, value_name = "SECONDS|1m30s", default_value = "10", value_parser = duration)]
    pub duration: Duration,
    /// Look until Ctrl-C, and say what is wrong as it shows
    #[arg(long, conflicts_with_all = ["duration", "replay"])]
    pub live: bool,
    /// Judge a recording instead of this host; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "netns", "record"])]
    pub replay: Option<PathBuf>,
    /// Only this network namespace: a name from `ip netns`, a path or an inode
    #[arg(long, value_name = "NAME|PATH|INODE")]
    pub netns: Option<String>,
    /// Also write everything that is judged to a file, for --replay and `tcpwatch replay`
    #[arg(long, value_name = "FILE", value_parser = recording_file())]
    pub record: Option<PathBuf>,
    /// Text for people or JSON lines for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
