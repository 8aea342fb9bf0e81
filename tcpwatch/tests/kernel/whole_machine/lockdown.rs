//! A kernel that was started with `lockdown=confidentiality` lets no program read its memory.

use std::fs;

use super::{is_ours, run};

const WORDS: [&str; 3] = ["lockdown", "confidentiality", "lockdown=integrity"];

#[test]
#[ignore = "needs a kernel that was started with lockdown=confidentiality"]
fn a_kernel_locked_down_for_confidentiality_is_refused_in_words_by_log_exporter_and_laboratory() {
    is_ours();
    let mode = fs::read_to_string("/sys/kernel/security/lockdown").unwrap();
    assert!(mode.contains("[confidentiality]"), "{mode}");
    for args in [
        &["--duration", "0.1"][..],
        &["serve", "--web.listen-address", "127.0.0.1:0"],
        &["lab", "run", "refused"],
    ] {
        let ended = run(args);
        ended.lacks(&WORDS);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(!ended.stdout.contains("CHANGE"), "{}", ended.stdout);
    }
}

#[test]
#[ignore = "needs a kernel that was started with lockdown=confidentiality"]
fn check_says_that_the_kernel_is_locked_down_and_what_to_do() {
    is_ours();
    let ended = run(&["check"]);
    print!("{}", ended.stdout);
    assert_eq!(ended.status, Some(3), "{}{}", ended.stdout, ended.stderr);
    for word in WORDS {
        assert!(ended.stdout.contains(word), "{word}: {}", ended.stdout);
    }
}
