//! How many inputs a test tries.

use proptest::prelude::*;

/// `usual` many, for a test whose inputs take long; `PROPTEST_CASES` decides if it is set.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if asked { config.cases } else { usual }, ..config }
}
