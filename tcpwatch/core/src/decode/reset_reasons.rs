//! The kernel's reasons for sending a reset, by their numbers.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// `enum sk_rst_reason` in `include/net/rstreason.h`, since 6.10, as the running kernel has it: words in
/// lower case and without what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetReasons(pub BTreeMap<u32, Arc<str>>);

impl ResetReasons {
    /// The word for a reason: `tcp_abort_on_close`. A number that has no name is given as it is.
    #[must_use]
    pub fn name(&self, number: u32) -> Arc<str> {
        self.0.get(&number).cloned().unwrap_or_else(|| format!("reason#{number}").into())
    }
}
