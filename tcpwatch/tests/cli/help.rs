//! What the binary says of itself.

use super::program::{Answer, tcpwatch};

/// Status 0, something on stdout and nothing on stderr.
fn told(args: &[&str]) -> String {
    let answer = Answer::of(&mut tcpwatch(args));
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    answer.stdout
}

const FILTERS: [&str; 10] = [
    "--port",
    "--local-port",
    "--remote-port",
    "--addr",
    "-4",
    "-6",
    "--state",
    "--netns",
    "--pid",
    "--comm",
];
const OUTPUT: [&str; 8] =
    ["--format", "--color", "--lives", "--failed", "--retries", "--time", "--count", "--summary"];
const LIVE: [&str; 2] = ["--duration", "--buffer"];

#[test]
fn the_help_names_every_filter_and_every_form_of_output() {
    for args in [["--help"].as_slice(), &["-h"], &["replay", "--help"]] {
        let help = told(args);
        for option in FILTERS.iter().chain(&OUTPUT) {
            assert!(help.contains(option), "{args:?} tells of {option}:\n{help}");
        }
        let live = !args.contains(&"replay");
        for option in LIVE {
            assert_eq!(help.contains(option), live, "{args:?} and {option}:\n{help}");
        }
    }
}

#[test]
fn the_help_names_commands_and_exit_statuses_and_has_an_example() {
    let help = told(&["--help"]);
    for word in ["check", "replay", "Exit status", "sudo tcpwatch --port 11111"] {
        assert!(help.contains(word), "{word}:\n{help}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for option in ["--version", "-V"] {
        assert_eq!(told(&[option]), format!("tcpwatch {}\n", env!("CARGO_PKG_VERSION")));
    }
}
