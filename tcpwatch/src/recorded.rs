//! A recording that the command line names, and the network namespace in it.

use std::path::Path;

use anyhow::{Context as _, Result};
use tcpwatch::cli::{args::FilterArgs, sandbox::Confine};
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::source::{
    recording::Recording,
    recording_input::{self, RecordingInput},
    snapshot,
};

use crate::confine;

/// Opens a file, or standard input for `-`. What reading it does not take is given up before its first byte is read, as
/// far as `confine` says.
pub(crate) fn open(file: &Path, confine: Confine) -> Result<Recording<Box<dyn RecordingInput>>> {
    let name =
        if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
    let input = recording_input::open(file).with_context(|| format!("cannot open {name}"))?;
    confine::reading(confine)?;
    let input = recording_input::unpacked(input).with_context(|| format!("cannot open {name}"))?;
    Recording::open(input).with_context(|| format!("cannot replay {name}"))
}

/// The network namespace that is asked for. Those of a recording need not exist here.
pub(crate) fn netns(filters: &FilterArgs) -> Result<Option<Netns>> {
    let netns = filters.netns.as_deref().map(|word| match word.parse() {
        Ok(inode) => Ok(Netns(inode)),
        Err(_) => snapshot::resolve(word),
    });
    Ok(netns.transpose()?)
}
