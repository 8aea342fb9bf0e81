//! A kernel older than 5.12 has a ring buffer (since 5.8), but its programs on tracepoints cannot get a socket's cookie
//! (since 5.12) or storage (since 5.11). tcpwatch refuses it with an error.

use super::{is_ours, run};

/// The exit status of a command that needs the kernel side, and the function that its programs may not call.
const REFUSED: [(&[&str], &str); 3] = [
    (&["--duration", "1"], "bpf_get_socket_cookie"),
    (&["serve"], "bpf_sk_storage_get"),
    (&["lab", "run", "fin-wait-2"], "bpf_get_socket_cookie"),
];

#[test]
#[ignore = "needs a kernel older than 5.12"]
fn it_is_refused_in_words_with_status_3() {
    is_ours();
    for (command, function) in REFUSED {
        let ended = run(command);
        assert_eq!(ended.status, Some(3), "{command:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{command:?}: nothing is shown");
        for words in ["tcpwatch: kernel 5.", "does not let", function, "5.12"] {
            assert!(ended.stderr.contains(words), "{command:?}: {words}: {}", ended.stderr);
        }
    }
}

#[test]
#[ignore = "needs a kernel older than 5.12"]
fn check_tells_what_it_has_and_what_it_lacks() {
    is_ours();
    let ended = run(&["check"]);
    assert_eq!(ended.status, Some(3), "the main job cannot run: {}{}", ended.stdout, ended.stderr);
    let line = |start: &str| {
        let mut lines = ended.stdout.lines();
        lines.find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{}", ended.stdout))
    };
    assert!(line("ring buffer").ends_with("ok"), "{}", ended.stdout);
    let state = line("state changes of full sockets");
    for words in ["off: ", "bpf_get_socket_cookie", "since Linux 5.12"] {
        assert!(state.contains(words), "{words}: {state}");
    }
}
