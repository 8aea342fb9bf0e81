//! Wrong command lines: each has its own message, and the status is 2.

use super::program::{Answer, recording, tcpwatch};

fn refused(args: &[&str], words: &[&str]) {
    Answer::of(&mut tcpwatch(args)).refuses(2, words);
}

#[test]
fn a_port_that_is_none_is_refused() {
    for option in ["--port", "--local-port", "--remote-port"] {
        for (word, says) in [
            ("0", "port 0 is no port; ports are 1 to 65535"),
            ("65536", "\"65536\" is no port; ports are 1 to 65535"),
            ("x", "\"x\" is no port; ports are 1 to 65535"),
            ("80-70", "the range 80-70 runs backwards; write 70-80"),
            ("80-", "\"\" is no port"),
            ("0-10", "port 0 is no port"),
            ("80,,90", "\"\" is no port"),
            ("80,x", "\"x\" is no port"),
        ] {
            refused(&[option, word], &[option, says]);
        }
        refused(&[&format!("{option}=-1")], &[option, "\"\" is no port"]);
    }
}

#[test]
fn an_address_that_is_none_is_refused_with_what_to_write() {
    for word in ["10.0.0.0/33", "10.0.0", "example.org", "2001:db8::/129", ""] {
        refused(&["--addr", word], &["--addr", "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"]);
    }
}

#[test]
fn an_address_to_listen_on_without_a_port_or_with_a_name_is_refused_with_what_to_write() {
    for word in ["127.0.0.1", "localhost:10911", ":", "127.0.0.1:65536", ""] {
        let words = ["--web.listen-address", "write 127.0.0.1:10911"];
        refused(&["serve", "--web.listen-address", word], &words);
        refused(&["--web.listen-address", word], &words);
    }
}

#[test]
fn both_families_at_once_are_refused() {
    refused(&["-4", "-6"], &["--ipv4", "--ipv6", "cannot be used with"]);
}

#[test]
fn lives_hold_all_states_so_that_none_can_be_chosen() {
    for option in ["--lives", "--failed"] {
        let words = [option, "--state", "cannot be used with"];
        refused(&[option, "--state", "TIME_WAIT"], &words);
        refused(&["--state", "TIME_WAIT", option], &words);
    }
}

#[test]
fn only_lives_and_only_retries_at_once_are_refused() {
    for option in ["--lives", "--failed"] {
        let words = ["--retries", option, "cannot be used with"];
        refused(&["--retries", option], &words);
        refused(&[option, "--retries"], &words);
    }
}

#[test]
fn a_state_that_is_none_is_refused_with_the_names_of_all() {
    for word in ["FIN_WAIT_3", "open", "ESTABLISHED,half-open", ""] {
        refused(
            &["--state", word],
            &[
                "is not a TCP state",
                "CLOSED LISTEN SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT \
                 CLOSING LAST_ACK TIME_WAIT",
            ],
        );
    }
}

#[test]
fn a_network_namespace_that_does_not_exist_is_refused_by_name() {
    let name = "no-such-namespace";
    refused(&["--netns", name], &[name, "/run/netns", "ip netns"]);
    refused(&["--netns", "1"], &["no network namespace 1"]);
    refused(&["--netns", "/run/netns/no-such"], &["/run/netns/no-such", "No such file"]);
    refused(&["--netns", ""], &["network namespace"]);
}

#[test]
fn a_path_that_is_no_network_namespace_is_refused() {
    for path in ["/dev/null", "/proc/self/ns/mnt", "/"] {
        refused(&["--netns", path], &[path, "is no network namespace", "/proc/PID/ns/net"]);
    }
}

#[test]
fn a_duration_that_is_none_is_refused() {
    for word in ["0", "x", "nan", "inf", "1m30", ""] {
        refused(&["--duration", word], &["--duration", "is no duration", "1m30s"]);
    }
    refused(&["--duration=-1"], &["is no duration"]);
}

#[test]
fn a_ring_size_that_is_none_is_refused() {
    for word in ["1K", "4T", "x", "0", ""] {
        refused(&["--buffer", word], &["--buffer", "is no ring size"]);
    }
}

#[test]
fn a_count_of_nothing_is_refused() {
    for word in ["0", "x"] {
        refused(&["--count", word], &["--count"]);
    }
}

#[test]
fn a_pid_that_is_no_number_is_refused() {
    refused(&["--pid", "init"], &["--pid", "init"]);
}

#[test]
fn a_word_out_of_a_list_is_refused_with_the_list() {
    refused(&["--format", "xml"], &["text", "json"]);
    refused(&["--color", "blue"], &["auto", "always", "never"]);
    refused(&["--time", "tomorrow"], &["local", "utc", "elapsed"]);
}

#[test]
fn an_unknown_option_or_command_is_refused_with_the_usage() {
    refused(&["--prot", "80"], &["--prot", "--port"]);
    refused(&["watch"], &["watch", "Usage"]);
}

#[test]
fn replay_refuses_the_same_words() {
    let file = recording();
    let file = file.to_str().expect("a path in UTF-8");
    for (args, says) in [
        (["--port", "0"], "port 0 is no port"),
        (["--addr", "10.0.0.0/33"], "write 192.0.2.1"),
        (["--state", "open"], "is not a TCP state"),
        (["--netns", "no-such-namespace"], "no-such-namespace"),
        (["--lives", "--retries"], "cannot be used with"),
    ] {
        refused(&[&["replay", file], args.as_slice()].concat(), &[says]);
    }
    refused(&["replay"], &["<FILE>"]);
}
