//! `tcpwatch list`: what it does without privilege, and with words that are wrong.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use super::program::{Answer, is_root, is_root_or_say, tcpwatch, unprivileged};

#[test]
fn a_user_without_privileges_sees_the_sockets_of_the_own_namespace_and_is_told_what_is_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (_folder, mut command) = unprivileged(&["list", "--local-port", &port]);
    let answer = Answer::of(&mut command);
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert_eq!(answer.stdout.lines().count(), 2, "{answer:?}");
    let line = answer.stdout.lines().last().unwrap();
    assert!(line.starts_with("LISTEN ") && line.contains(&format!("127.0.0.1:{port} ")), "{line}");
    if is_root() {
        for words in ["tcpwatch: not seen: which sockets", "CAP_SYS_PTRACE", "(root)"] {
            assert!(answer.stderr.contains(words), "{words}: {answer:?}");
        }
        assert!(line.ends_with(" -"), "the owner may not be seen: {line}");
    }
}

#[test]
fn a_namespace_that_may_not_be_entered_is_refused_with_the_capability_that_it_takes() {
    if !is_root_or_say("root without CAP_SYS_ADMIN") {
        return;
    }
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    let path = format!("/proc/{}/ns/net", holder.id());
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    command.args([env!("CARGO_BIN_EXE_tcpwatch"), "list", "--netns", &path]);
    let answer = Answer::of(&mut command);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    answer.refuses(3, &["cannot list sockets: network namespace", "CAP_SYS_ADMIN"]);
    let answer = Answer::of(&mut tcpwatch(&["list", "--netns", &path]));
    answer.refuses(2, &[&format!("cannot read network namespace {path}")]);
}

#[test]
fn filters_that_make_no_sense_are_refused_as_those_of_the_log() {
    for (args, words) in [
        (["list", "--port", "0"], "port 0 is no port"),
        (["list", "--state", "CLOSING2"], "is not a TCP state"),
        (["list", "--netns", "no-such-name"], "no network namespace is called \"no-such-name\""),
        (["list", "--netns", "/etc/passwd"], "is no network namespace"),
    ] {
        Answer::of(&mut tcpwatch(&args)).refuses(2, &[words]);
    }
}

#[test]
fn a_reader_that_goes_away_is_a_normal_end() {
    let mut command = Command::new("sh");
    let script = "\"$0\" list --format json | true; \"$0\" list >/dev/full";
    command.args(["-c", script, env!("CARGO_BIN_EXE_tcpwatch")]);
    let answer = Answer::of(&mut command);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("cannot write the output: No space left"), "{answer:?}");
}
