//! A recording that the command line names, and the network namespace in it.

use std::{io::BufRead, path::Path};

use anyhow::{Context as _, Result};
use tcpwatch::cli::args::FilterArgs;
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::source::{recording::Recording, recording_input, snapshot};

/// Opens a file, or standard input for `-`.
pub(crate) fn open(file: &Path) -> Result<Recording<Box<dyn BufRead>>> {
    let name =
        if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
    let input = recording_input::open(file).with_context(|| format!("cannot open {name}"))?;
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
