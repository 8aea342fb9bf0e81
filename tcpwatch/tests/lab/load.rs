//! The long runs: every scenario with the kernel's own time limits, which takes minutes. `cargo xtask test load` runs
//! it.

use crate::{judged, scenarios::verdicts};

#[test]
fn every_built_in_scenario_holds_with_the_kernels_defaults() {
    needs_root!();
    judged::hold(&["--all", "--profile", "full"], verdicts);
}
