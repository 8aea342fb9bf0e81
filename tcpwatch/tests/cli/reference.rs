//! Completions and manual pages.

use std::{collections::BTreeSet, fs};

use super::program::{Answer, tcpwatch};

/// The words in column 3 of the help's list of commands.
fn visible_commands() -> Vec<String> {
    let help = Answer::of(&mut tcpwatch(&["--help"])).stdout;
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let entries = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    entries.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn every_shell_completes_every_visible_command() {
    let commands = visible_commands();
    assert!(commands.len() > 5, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let answer = Answer::of(&mut tcpwatch(&["completions", shell]));
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in commands.iter().map(String::as_str).chain(["local-port", "retries"]) {
            assert!(answer.stdout.contains(word), "{shell} completes {word}");
        }
    }
}

#[test]
fn a_shell_without_completions_is_wrong_usage_that_lists_those_with() {
    let answer = Answer::of(&mut tcpwatch(&["completions", "csh"]));
    assert_eq!(answer.status, Some(2), "{answer:?}");
    assert!(answer.stderr.contains("bash") && answer.stderr.contains("zsh"), "{answer:?}");
}

#[test]
fn every_visible_command_has_a_manual_page_and_no_internal_one_has() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let answer = Answer::of(&mut tcpwatch(&["manpages", path, "2026-11-30"]));
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let pages = fs::read_dir(path).expect("it is there");
    let pages: BTreeSet<_> = pages
        .map(|page| page.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    assert!(pages.contains("tcpwatch.1") && pages.contains("tcpwatch-lab-run.1"), "{pages:?}");
    for command in visible_commands().iter().filter(|command| *command != "help") {
        assert!(pages.contains(&format!("tcpwatch-{command}.1")), "{command}: {pages:?}");
    }
    for internal in ["lab-peer", "lab-janitor", "manpages"] {
        assert!(!pages.contains(&format!("tcpwatch-{internal}.1")), "{internal}: {pages:?}");
    }
    let page = fs::read_to_string(dir.path().join("tcpwatch.1")).expect("text");
    for word in [r"\-\-local\-port", "CLOSE_WAIT", "Exit status"] {
        assert!(page.contains(word), "{word}:\n{page}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let answer = Answer::of(&mut tcpwatch(&["manpages", "/nowhere/at/all", "2026-11-30"]));
    assert_eq!(answer.status, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("/nowhere/at/all"), "{answer:?}");
}
