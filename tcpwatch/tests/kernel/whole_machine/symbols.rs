//! A kernel that hides the addresses of its functions.

use std::fs;

use super::{is_ours, run};

const RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

/// Hides them as long as it lives, from root, too (`kallsyms_show_value`, `kernel/kallsyms.c`).
struct Hidden(String);

impl Hidden {
    fn new() -> Self {
        let before = fs::read_to_string(RESTRICT).unwrap();
        fs::write(RESTRICT, "2").unwrap();
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        fs::write(RESTRICT, &self.0).unwrap();
    }
}

#[test]
#[ignore = "hides the addresses of the whole machine's kernel"]
fn a_kernel_that_hides_its_addresses_hides_why_mini_sockets_end_early_and_nothing_else() {
    is_ours();
    let _hidden = Hidden::new();
    let ended = run(&["--duration", "0.1"]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    for word in ["hooks 11 of 11", "why TIME_WAIT", "/proc/kallsyms hides", "kernel.kptr_restrict"]
    {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    let check = run(&["check"]);
    print!("{}", check.stdout);
    assert_eq!(check.status, Some(0), "the main job can run: {}", check.stdout);
    assert!(check.stdout.contains("off: /proc/kallsyms hides"), "{}", check.stdout);
    for state in ["SYN_RECV", "TIME_WAIT", "FIN_WAIT_2"] {
        let line = check.stdout.lines().find(|line| line.starts_with(state));
        assert!(line.is_some_and(|line| line.ends_with("works (tried)")), "{}", check.stdout);
    }
}
