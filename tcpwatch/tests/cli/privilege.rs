//! Missing features of the machine or privileges of the caller: status 3, what is missing and what to do.

use std::process::Command;

use super::program::{Answer, for_everybody, is_root_or_say, tcpwatch, unprivileged};

/// A shell in its own mount namespace, in which the kernel's type information is not visible.
fn without_btf(args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let hide = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\"";
    command.args(["--mount", "sh", "-c", hide, env!("CARGO_BIN_EXE_tcpwatch")]).args(args);
    command
}

/// Root, but without these capabilities.
fn root_without(capabilities: &[&str], args: &[&str]) -> Command {
    let drop: Vec<String> = capabilities.iter().map(|name| format!("-{name}")).collect();
    let drop = drop.join(",");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", &drop, "--inh-caps", &drop]);
    command.arg(env!("CARGO_BIN_EXE_tcpwatch")).args(args);
    command
}

#[test]
fn a_user_without_privileges_is_told_which_and_how_to_get_them() {
    let (_folder, mut command) = unprivileged(&["--port", "11111"]);
    Answer::of(&mut command).refuses(3, &["CAP_BPF", "CAP_PERFMON", "sudo", "setcap"]);
}

#[test]
fn an_exporter_without_privileges_is_told_the_same_and_serves_nothing() {
    let (_folder, mut command) = unprivileged(&["serve", "--web.listen-address", "127.0.0.1:0"]);
    let answer = Answer::of(&mut command);
    answer.refuses(3, &["CAP_BPF", "CAP_PERFMON", "sudo", "setcap"]);
    assert!(!answer.stderr.contains("/metrics"), "{answer:?}");
}

#[test]
fn a_doctor_without_privileges_is_told_the_same_and_finds_nothing() {
    for args in [["doctor", "-d", "1"], ["doctor", "--live", "--format=json"]] {
        let (_folder, mut command) = unprivileged(&args);
        let answer = Answer::of(&mut command);
        answer.refuses(3, &["CAP_BPF", "CAP_PERFMON", "sudo", "setcap"]);
        assert_eq!(answer.stdout, "", "no verdict: {answer:?}");
    }
}

#[test]
fn root_without_one_capability_is_told_which() {
    let claim = "root without CAP_BPF or CAP_PERFMON";
    if !is_root_or_say(claim) {
        return;
    }
    for (dropped, named, other) in
        [("bpf", "CAP_BPF", "CAP_PERFMON"), ("perfmon", "CAP_PERFMON", "CAP_BPF")]
    {
        let answer = Answer::of(&mut root_without(&[dropped, "sys_admin"], &[]));
        answer.refuses(3, &[&format!("loading eBPF programs needs {named};"), "sudo"]);
        assert!(!answer.stderr.contains(&format!("{other};")), "{other} is there: {answer:?}");
    }
}

#[test]
fn hidden_kernel_addresses_hide_why_mini_sockets_end_early_and_nothing_else() {
    if !is_root_or_say("root without CAP_SYSLOG") {
        return;
    }
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    if paranoid.trim().parse::<i32>().unwrap() < 2 {
        eprintln!("NOT TESTED: with kernel.perf_event_paranoid below 2 everybody sees addresses");
        return;
    }
    let answer = Answer::of(&mut root_without(&["syslog"], &["--duration", "0.1"]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    let why = "not seen: why TIME_WAIT, FIN_WAIT_2 and SYN_RECV end early: /proc/kallsyms hides";
    for words in ["hooks 11 of 11", why, "CAP_SYSLOG"] {
        assert!(answer.stderr.contains(words), "{words}: {answer:?}");
    }
}

/// stderr and the printed lines of tcpwatch in a network namespace of its own, without the capability to make another;
/// its loopback interface is up or down.
fn without_another_namespace(loopback: &str, capabilities: &str) -> Answer {
    let lacking = format!("-sys_admin,{capabilities}");
    let mut command = Command::new("unshare");
    let script = "ip link set lo $1; exec setpriv --bounding-set \"$2\" --inh-caps \"$2\" \"$0\" \
                  --format json --netns /proc/self/ns/net --duration 0.3";
    command.args(["--net", "sh", "-c", script, env!("CARGO_BIN_EXE_tcpwatch"), loopback, &lacking]);
    Answer::of(&mut command)
}

#[test]
fn where_no_namespace_can_be_made_the_sockets_on_loopback_leave_no_line() {
    if !is_root_or_say("root without CAP_SYS_ADMIN and CAP_SYSLOG") {
        return;
    }
    let answer = without_another_namespace("up", "-syslog");
    assert_eq!((answer.status, answer.stdout.as_str()), (Some(0), ""), "{answer:?}");
    assert!(answer.stderr.contains("hooks 11 of 11"), "{answer:?}");
}

#[test]
fn where_no_connection_can_be_made_the_kernels_list_of_functions_serves() {
    if !is_root_or_say("root without CAP_SYS_ADMIN") {
        return;
    }
    let answer = without_another_namespace("down", "-sys_time");
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("hooks 11 of 11"), "{answer:?}");
}

#[test]
fn where_neither_is_possible_mini_sockets_are_off_with_both_reasons() {
    if !is_root_or_say("root without CAP_SYS_ADMIN and CAP_SYSLOG") {
        return;
    }
    let answer = without_another_namespace("down", "-syslog");
    assert_eq!(answer.status, Some(0), "{answer:?}");
    for words in [
        "hooks 8 of 11",
        "not seen: TIME_WAIT",
        "/proc/kallsyms hides its addresses",
        "CAP_SYSLOG",
        "cannot connect to itself on 127.0.0.1: Network is unreachable",
    ] {
        assert!(answer.stderr.contains(words), "{words}: {answer:?}");
    }
}

#[test]
fn a_kernel_without_type_information_is_refused_with_the_option_that_makes_it() {
    if !is_root_or_say("a kernel without BTF") {
        return;
    }
    Answer::of(&mut without_btf(&[])).refuses(3, &["CONFIG_DEBUG_INFO_BTF", "/sys/kernel/btf"]);
}

/// The line of `tcpwatch check` about what a listening process has given up.
const LISTENS: &str = "privileges of a process that listens ";

/// The lines of `tcpwatch check` that end in `ok` or were tried and work, and those that say `off`.
fn verdicts(report: &str) -> (usize, usize) {
    let is_good = |line: &&str| line.ends_with("  ok") || line.ends_with("  works (tried)");
    let (ok, rest): (Vec<&str>, Vec<&str>) = report
        .lines()
        .filter(|line| !line.starts_with("where it is tried ") && !line.contains("not tried: "))
        .filter(|line| !line.starts_with(LISTENS))
        .partition(is_good);
    for line in &rest {
        let (_, why) = line.split_once("  off: ").unwrap_or_else(|| panic!("a verdict: {line}"));
        assert!(!why.trim().is_empty(), "off, with the reason: {line}");
    }
    (ok.len(), rest.len())
}

#[test]
fn check_is_content_where_everything_is_there() {
    if !is_root_or_say("tcpwatch check as root") {
        return;
    }
    let answer = Answer::of(&mut tcpwatch(&["check"]));
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let (ok, off) = verdicts(&answer.stdout);
    assert!(ok >= 5 && off == 0, "{}", answer.stdout);
    for feature in ["kernel", "BTF", "CAP_BPF", "ring buffer"] {
        assert!(answer.stdout.contains(feature), "{feature}: {}", answer.stdout);
    }
    for feature in ["state changes", "SYN_RECV", "TIME_WAIT", "FIN_WAIT_2 ended by its timer"] {
        let line = answer.stdout.lines().find(|line| line.starts_with(feature));
        assert!(line.is_some_and(|line| line.ends_with("works (tried)")), "{}", answer.stdout);
    }
    let listens = answer.stdout.lines().find(|line| line.starts_with(LISTENS));
    let listens = listens.unwrap_or_else(|| panic!("no {LISTENS}: {}", answer.stdout));
    for word in ["no capability, no new privileges", "Landlock (ABI ", "seccomp"] {
        assert!(listens.contains(word), "{word}: {listens}");
    }
    let untried = answer.stdout.lines().filter(|line| line.contains("not tried: ")).count();
    assert!(untried <= 1, "only what takes a network that refuses segments: {}", answer.stdout);
}

#[test]
fn who_cannot_change_its_user_says_so_and_with_strict_does_not_run() {
    if !is_root_or_say("root without CAP_SETUID") {
        return;
    }
    let stays = "this process stays root's";
    let args = ["serve", "--web.listen-address", "127.0.0.1:0", "--sandbox", "strict"];
    let strict = Answer::of(&mut root_without(&["setuid"], &args));
    strict.refuses(
        3,
        &["--sandbox strict is not possible here", stays, "CAP_SETUID", "--sandbox auto"],
    );
    assert!(!strict.stderr.contains("/metrics"), "{strict:?}");
    let answer = Answer::of(&mut root_without(&["setuid"], &["--duration", "0.1"]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    let line = format!("tcpwatch: sandbox: not in force: {stays}");
    assert!(answer.stderr.contains(&line), "{answer:?}");
}

#[test]
fn a_sandbox_that_is_off_is_said_to_be() {
    if !is_root_or_say("the log with all privileges") {
        return;
    }
    let answer = Answer::of(&mut tcpwatch(&["--duration", "0.1", "--sandbox", "off"]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("tcpwatch: sandbox: off, user 0, "), "{answer:?}");
}

#[test]
fn check_without_privileges_says_what_is_off_and_why() {
    let (_folder, mut command) = unprivileged(&["check"]);
    let answer = Answer::of(&mut command);
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(3), ""), "{answer:?}");
    let (ok, off) = verdicts(&answer.stdout);
    assert!(ok >= 1 && off >= 2, "{}", answer.stdout);
    let why = "off: loading eBPF programs needs CAP_BPF and CAP_PERFMON; run tcpwatch with sudo";
    assert_eq!(answer.stdout.matches(why).count(), 1, "reported once: {}", answer.stdout);
    assert!(answer.stdout.contains("off: for the same reason"), "{}", answer.stdout);
}

#[test]
fn check_says_whether_sockets_that_other_processes_hold_are_seen() {
    if !is_root_or_say("root without CAP_SYS_PTRACE, and a /proc that hides processes") {
        return;
    }
    let line = |command: &mut Command| {
        let report = Answer::of(command).stdout;
        let line =
            report.lines().find(|line| line.starts_with("sockets that other processes hold"));
        line.unwrap_or_else(|| panic!("no such line: {report}")).to_owned()
    };
    let all = line(&mut tcpwatch(&["check"]));
    assert!(all.ends_with("  ok"), "{all}");
    let (_folder, mut command) = unprivileged(&["check"]);
    let refused = line(&mut command);
    assert!(refused.contains("processes, or more, may not be looked into"), "{refused}");
    let (_folder, binary) = for_everybody();
    let script = "mount -t proc -o hidepid=2 none /proc; \
                  exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" check";
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-ec", script]).arg(&binary);
    let hidden = line(&mut hidden);
    assert!(hidden.contains("may not be looked into"), "{hidden}");
}

#[test]
fn check_without_type_information_says_so() {
    if !is_root_or_say("tcpwatch check without BTF") {
        return;
    }
    let answer = Answer::of(&mut without_btf(&["check"]));
    assert_eq!(answer.status, Some(3), "{answer:?}");
    let (_, off) = verdicts(&answer.stdout);
    assert!(off >= 2, "{}", answer.stdout);
    assert!(answer.stdout.contains("CONFIG_DEBUG_INFO_BTF"), "{}", answer.stdout);
}

#[test]
fn the_laboratory_without_privileges_says_which_it_takes() {
    for words in [["lab", "run", "refused"].as_slice(), &["lab", "run", "refused", "listen"]] {
        let (_folder, mut command) = unprivileged(words);
        let answer = Answer::of(&mut command);
        assert_eq!(answer.status, Some(3), "{answer:?}");
        for word in ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "sudo"] {
            assert!(answer.stderr.contains(word), "{word}: {answer:?}");
        }
    }
    if !is_root_or_say("the laboratory as root without CAP_SYS_ADMIN") {
        return;
    }
    let answer = Answer::of(&mut root_without(&["sys_admin"], &["lab", "run", "refused"]));
    assert_eq!(answer.status, Some(3), "{answer:?}");
    for word in ["CAP_SYS_ADMIN", "sudo"] {
        assert!(answer.stderr.contains(word), "{word}: {answer:?}");
    }
}

#[test]
fn scenarios_are_listed_and_explained_without_privileges() {
    for (words, told) in [
        (["lab", "list"].as_slice(), ["NAME", "fin-wait-2", "simultaneous-open"]),
        (&["lab", "show", "fin-wait-2"], ["By hand", "tcp_fin_timeout = 60", "at most 62.05 s"]),
        (&["lab", "format"], ["# How a scenario is written", "## Steps", "## Times"]),
    ] {
        let (_folder, mut command) = unprivileged(words);
        let answer = Answer::of(&mut command);
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        for word in told {
            assert!(answer.stdout.contains(word), "{word}: {}", answer.stdout);
        }
    }
}
