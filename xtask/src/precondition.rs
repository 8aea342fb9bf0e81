//! The error for a machine that lacks something; it leads to exit status 3.

use std::{error::Error, fmt};

/// Something outside this program has to change first; the text gives what is missing and what to do.
#[derive(Debug)]
pub(crate) struct Precondition(pub(crate) String);

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Precondition {}
