//! The error of a machine that lacks something: what is missing and what to do come in, exit
//! status 3 goes out.

use std::{error::Error, fmt};

/// Something outside this program has to change first; the text says what, and how.
#[derive(Debug)]
pub(crate) struct Precondition(pub(crate) String);

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Precondition {}
