//! The number of inputs of a test.

use proptest::prelude::*;

/// `usual`, for a test whose inputs take long, unless `PROPTEST_CASES` is set.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if asked { config.cases } else { usual }, ..config }
}
