//! The binary's help and version.

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
const OUTPUT: [&str; 9] = [
    "--format",
    "--color",
    "--lives",
    "--failed",
    "--retries",
    "--time",
    "--wide",
    "--count",
    "--summary",
];
const LIVE: [&str; 2] = ["--duration", "--buffer"];

#[test]
fn the_help_names_every_filter_and_every_form_of_output() {
    for args in [["--help"].as_slice(), &["-h"], &["replay", "--help"]] {
        let help = told(args);
        for option in FILTERS.iter().chain(&OUTPUT) {
            assert!(help.contains(option), "{args:?} mentions {option}:\n{help}");
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
    for word in [
        "check",
        "doctor",
        "list",
        "top",
        "replay",
        "explain",
        "lab",
        "sudo tcpwatch lab run fin-wait-2",
        "Exit status",
        "sudo tcpwatch --port 11111",
    ] {
        assert!(help.contains(word), "{word}:\n{help}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for option in ["--version", "-V"] {
        assert_eq!(told(&[option]), format!("tcpwatch {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_laboratorys_help_points_to_the_scenarios_and_to_how_one_is_written() {
    let help = told(&["lab", "--help"]);
    for word in ["list", "show", "run", "format", "tcpwatch lab format", "tcpwatch lab show"] {
        assert!(help.contains(word), "{word}:\n{help}");
    }
    let help = told(&["lab", "run", "--help"]);
    let options = ["--all", "--profile", "-4", "-6", "--set", "--report", "--jobs", "--color"];
    for word in options.iter().chain(&["tcpwatch lab list", "tcpwatch lab format"]) {
        assert!(help.contains(word), "{word}:\n{help}");
    }
    let internal = ["lab-peer", "lab-janitor"];
    let all = told(&["--help"]) + &told(&["lab", "--help"]);
    assert!(internal.iter().all(|word| !all.contains(word)), "{all}");
}
