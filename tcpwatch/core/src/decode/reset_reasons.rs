//! The kernel's reasons for sending a reset, by their numbers.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::event::reset_reason::clean;

/// `enum sk_rst_reason` in `include/net/rstreason.h`, since 6.10, as the running kernel has it: words in
/// lower case and without what they have in common. Those of a recording are words like the kernel's,
/// too, whatever is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u32, String>")]
pub struct ResetReasons(pub BTreeMap<u32, Arc<str>>);

impl From<BTreeMap<u32, String>> for ResetReasons {
    fn from(words: BTreeMap<u32, String>) -> Self {
        Self(words.into_iter().map(|(number, word)| (number, clean(&word).into())).collect())
    }
}

impl ResetReasons {
    /// The word for a reason: `tcp_abort_on_close`. A number that has no name is given as it is.
    #[must_use]
    pub fn name(&self, number: u32) -> Arc<str> {
        self.0.get(&number).cloned().unwrap_or_else(|| format!("reason#{number}").into())
    }

    /// The kernel's words for all of them.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(AsRef::as_ref)
    }
}
