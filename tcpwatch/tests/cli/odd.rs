//! Unusual machines, containers and limits, made for one process each: what tcpwatch cannot do without ends it with
//! status 3, what it can do without is reported and left out.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use tempfile::TempDir;

use super::program::{Answer, for_everybody, is_root_or_say};

pub(super) const BTF: &str = "/sys/kernel/btf/vmlinux";
const KALLSYMS: &str = "/proc/kallsyms";
const LIVE: &[&str] = &["--duration", "0.1"];
const SERVE: &[&str] = &["serve", "--web.listen-address", "127.0.0.1:0"];
const LABORATORY: &[&str] = &["lab", "run", "refused", "-4"];

/// The binary, started by another program.
fn behind(starter: &[&str], args: &[&str]) -> Command {
    behind_of(starter, Path::new(env!("CARGO_BIN_EXE_tcpwatch")), args)
}

fn behind_of(starter: &[&str], binary: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(binary).args(args);
    command
}

/// The binary in a mount namespace changed by these commands.
fn where_mounts(change: &str, args: &[&str]) -> Command {
    let script = format!("{change} && exec \"$0\" \"$@\"");
    behind(&["unshare", "--mount", "sh", "-c", &script], args)
}

/// The binary with a file replaced by another content.
pub(super) fn where_file(path: &str, holds: &[u8], args: &[&str]) -> Answer {
    let (_folder, other) = file(holds);
    let mount = format!("mount --bind {} {path}", other.display());
    Answer::of(&mut where_mounts(&mount, args))
}

fn file(holds: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, holds).unwrap();
    (folder, path)
}

/// The kernel's type information with a tracepoint's type renamed: as if the tracepoint did not exist.
fn types_without(tracepoint: &str) -> Vec<u8> {
    let mut types = fs::read(BTF).unwrap();
    let name = format!("\0btf_trace_{tracepoint}\0");
    let at = types.windows(name.len()).position(|bytes| bytes == name.as_bytes());
    types[at.expect("this kernel has the tracepoint") + 1] = b'X';
    types
}

/// It ended with this status, without a crash, and stderr contains all these words.
#[track_caller]
fn assert_ends(answer: &Answer, status: i32, words: &[&str]) {
    assert_eq!(answer.status, Some(status), "{answer:?}");
    for word in words {
        assert!(answer.stderr.contains(word), "no \"{word}\" in {answer:?}");
    }
    assert!(!answer.stderr.contains("panicked"), "{answer:?}");
}

/// `check` reports why this feature is off, and reports it once.
#[track_caller]
fn assert_off(report: &Answer, feature: &str, word: &str) {
    assert_eq!(report.stderr, "", "{report:?}");
    let told = report.stdout.lines().find(|line| line.contains(word) && line.contains("off: "));
    let told = told.unwrap_or_else(|| panic!("\"{word}\" in {}", report.stdout));
    assert!(told.starts_with(feature), "{told}");
    let (_, why) = told.split_once("off: ").unwrap();
    assert_eq!(report.stdout.matches(why).count(), 1, "{}", report.stdout);
}

#[test]
fn type_information_that_is_damaged_is_told_from_one_that_is_missing() {
    if !is_root_or_say("damaged type information") {
        return;
    }
    let whole = fs::read(BTF).unwrap();
    let mut swapped = whole.clone();
    swapped.swap(0, 1);
    for (holds, words) in [
        (&whole[..whole.len() / 2], "it ends after"),
        (b"", "it has 0 bytes"),
        (b"something else that is long enough", "it begins with 0x"),
        (&swapped, "other byte order"),
    ] {
        for args in [LIVE, SERVE, LABORATORY] {
            let answer = where_file(BTF, holds, args);
            answer.refuses(3, &[BTF, words, "CONFIG_DEBUG_INFO_BTF", "findmnt"]);
        }
        let report = where_file(BTF, holds, &["check"]);
        assert_eq!(report.status, Some(3), "{report:?}");
        assert_off(&report, "BTF at", words);
    }
}

#[test]
fn types_that_make_no_sense_are_refused() {
    if !is_root_or_say("type information that makes no sense") {
        return;
    }
    let mut types = fs::read(BTF).unwrap();
    types[1000..500_000].fill(0);
    let answer = where_file(BTF, &types, LIVE);
    answer.refuses(3, &["type information", "/sys/kernel/btf/vmlinux"]);
}

#[test]
fn an_optional_tracepoint_that_is_missing_is_left_out_with_words() {
    if !is_root_or_say("a kernel without tcp_send_reset") {
        return;
    }
    let types = types_without("tcp_send_reset");
    let said = ["resets sent, and why: kernel ", " has no tracepoint `tcp_send_reset`"];
    assert_ends(&where_file(BTF, &types, LIVE), 0, &said);
    let report = where_file(BTF, &types, &["check"]);
    assert_eq!(report.status, Some(0), "{report:?}");
    assert_off(&report, "resets sent", "no tracepoint `tcp_send_reset`");
}

#[test]
fn a_required_tracepoint_that_is_missing_is_refused_by_name() {
    if !is_root_or_say("a kernel without inet_sock_set_state") {
        return;
    }
    let types = types_without("inet_sock_set_state");
    for args in [LIVE, SERVE] {
        where_file(BTF, &types, args).refuses(3, &["has no tracepoint `inet_sock_set_state`"]);
    }
    let report = where_file(BTF, &types, &["check"]);
    assert_eq!(report.status, Some(3), "{report:?}");
    assert_off(&report, "state changes", "no tracepoint `inet_sock_set_state`");
}

#[test]
fn without_addresses_of_functions_the_log_goes_on_without_reasons_of_early_ends() {
    if !is_root_or_say("hidden kernel addresses") {
        return;
    }
    for (holds, words) in [
        ("0000000000000000 T tcp_v4_rcv\n", "CAP_SYSLOG (sudo has it) and kernel.kptr_restr"),
        ("ffffffff81000000 t something_else\n", "lists no function `tcp_v4_rcv`"),
        ("", "lists no function `tcp_v4_rcv`"),
    ] {
        let answer = where_file(KALLSYMS, holds.as_bytes(), LIVE);
        assert_ends(&answer, 0, &["hooks 11 of 11", "not seen: why TIME_WAIT", KALLSYMS, words]);
        let report = where_file(KALLSYMS, holds.as_bytes(), &["check"]);
        assert_eq!(report.status, Some(0), "{report:?}");
        assert_off(&report, "why TIME_WAIT, FIN_WAIT_2 and SYN_RECV end early", words);
    }
}

#[test]
fn what_is_not_mounted_is_named_with_the_command_that_mounts_it() {
    if !is_root_or_say("a machine without /proc or /sys") {
        return;
    }
    for (hide, command) in [
        ("mount -t tmpfs none /proc", "mount -t proc proc /proc"),
        ("mount -t tmpfs none /sys", "mount -t sysfs sysfs /sys"),
        ("mount -t tmpfs none /sys/devices", "mount -t sysfs sysfs /sys"),
    ] {
        for args in [LIVE, SERVE, LABORATORY] {
            Answer::of(&mut where_mounts(hide, args)).refuses(3, &[command]);
        }
        let report = Answer::of(&mut where_mounts(hide, &["check"]));
        assert_eq!(report.status, Some(3), "{report:?}");
        assert_off(&report, "/proc and /sys", command);
    }
}

#[test]
fn a_read_only_sys_and_hidden_processes_take_nothing_away() {
    if !is_root_or_say("a read-only /sys and a /proc with hidepid=2") {
        return;
    }
    for change in ["mount -o remount,ro,bind /sys", "mount -t proc -o hidepid=2 proc /proc"] {
        let answer = Answer::of(&mut where_mounts(change, LIVE));
        assert_ends(&answer, 0, &["hooks 11 of 11"]);
        let lines: Vec<_> = answer.stderr.lines().collect();
        assert!(
            matches!(lines[..], [_, sandbox] if sandbox.contains(": sandbox: user ")),
            "{answer:?}"
        );
    }
}

#[test]
fn root_of_a_user_namespace_is_told_that_this_is_not_enough() {
    if !is_root_or_say("root of a user namespace") {
        return;
    }
    let inside = ["unshare", "--user", "--map-root-user"];
    for args in [LIVE, SERVE, LABORATORY] {
        let answer = Answer::of(&mut behind(&inside, args));
        answer.refuses(3, &["user namespace", "container", "--userns=host"]);
    }
    let report = Answer::of(&mut behind(&inside, &["check"]));
    assert_eq!(report.status, Some(3), "{report:?}");
    assert_off(&report, "privileges", "user namespace");
}

#[test]
fn two_capabilities_are_enough_for_the_log_and_what_they_hide_is_told_once() {
    if !is_root_or_say("nobody with CAP_BPF and CAP_PERFMON") {
        return;
    }
    let (_folder, binary) = for_everybody();
    let nobody = "--reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+bpf,+perfmon \
                  --ambient-caps=-all,+bpf,+perfmon --bounding-set=-all,+bpf,+perfmon";
    let starter: Vec<&str> = ["setpriv"].into_iter().chain(nobody.split(' ')).collect();
    let hidden = ["network namespaces", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"];
    let answer = Answer::of(&mut behind_of(&starter, &binary, LIVE));
    assert_ends(&answer, 0, &["every TCP socket"]);
    for word in hidden {
        assert_eq!(answer.stderr.matches(word).count(), 1, "{word}: {answer:?}");
    }
    let report = Answer::of(&mut behind_of(&starter, &binary, &["check"]));
    assert_eq!(report.status, Some(0), "{report:?}");
    assert_off(&report, "who owns", "CAP_SYS_PTRACE");
    assert_off(&report, "laboratory", "CAP_NET_ADMIN");
    let answer = Answer::of(&mut behind_of(&starter, &binary, LABORATORY));
    answer.refuses(3, &["CAP_SYS_ADMIN and CAP_NET_ADMIN", "sudo"]);
}

/// The binary with a seccomp filter that fails every `bpf()` with an error.
fn where_bpf_is_refused(number: i32, args: &[&str]) -> Answer {
    let number = u32::try_from(number).unwrap();
    let filter = SeccompFilter::new(
        [(libc::SYS_bpf, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(number),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    // The filter applies to the calling thread and to what it starts.
    let refused = || {
        apply_filter(&program).unwrap();
        Answer::of(&mut behind(&["env"], args))
    };
    thread::scope(|scope| scope.spawn(refused).join()).unwrap()
}

#[test]
fn a_seccomp_filter_that_refuses_bpf_is_suspected_and_not_the_kernels_age() {
    if !is_root_or_say("root under a seccomp filter") {
        return;
    }
    for number in [libc::EPERM, libc::ENOSYS] {
        for args in [LIVE, SERVE, LABORATORY] {
            let answer = where_bpf_is_refused(number, args);
            answer.refuses(3, &["refuses the system call bpf()", "seccomp", "container's profile"]);
            assert!(!answer.stderr.contains("ring buffer"), "{answer:?}");
        }
    }
    let report = where_bpf_is_refused(libc::EPERM, &["check"]);
    assert_eq!(report.status, Some(3), "{report:?}");
    assert_off(&report, "ring buffer", "seccomp");
}

#[test]
fn too_few_file_descriptors_are_refused_before_hooks_are_lost() {
    if !is_root_or_say("few file descriptors") {
        return;
    }
    for limit in ["--nofile=6", "--nofile=16", "--nofile=40"] {
        for args in [LIVE, SERVE, LABORATORY] {
            let answer = Answer::of(&mut behind(&["prlimit", limit], args));
            answer.refuses(3, &["needs 128 file descriptors", "ulimit -n", "LimitNOFILE"]);
        }
    }
    let report = Answer::of(&mut behind(&["prlimit", "--nofile=40"], &["check"]));
    assert_eq!(report.status, Some(3), "{report:?}");
    assert_off(&report, "open files", "ulimit -n");
}

#[test]
fn as_many_file_descriptors_as_are_asked_for_are_enough() {
    if !is_root_or_say("just enough file descriptors") {
        return;
    }
    // Some are in use before they are counted.
    let limit = ["prlimit", "--nofile=160"];
    assert_ends(&Answer::of(&mut behind(&limit, LIVE)), 0, &["hooks 11 of 11"]);
    assert_ends(&Answer::of(&mut behind(&limit, LABORATORY)), 0, &[]);
}

#[test]
fn without_another_thread_the_log_goes_on_and_the_server_says_what_it_takes() {
    if !is_root_or_say("a user who may have one thread") {
        return;
    }
    let (_folder, binary) = for_everybody();
    let alone = "prlimit --nproc=1 setpriv --reuid=65533 --regid=65533 --clear-groups \
                 --inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon";
    let starter: Vec<&str> = alone.split(' ').collect();
    let answer = Answer::of(&mut behind_of(&starter, &binary, LIVE));
    assert_ends(&answer, 0, &["every TCP socket"]);
    let answer = Answer::of(&mut behind_of(&starter, &binary, SERVE));
    assert_ends(&answer, 1, &["cannot start the HTTP server", "threads", "ulimit -u"]);
}

#[test]
fn without_a_thread_for_the_page_a_scrape_is_refused_with_words_and_the_server_goes_on() {
    if !is_root_or_say("a user who may have three threads") {
        return;
    }
    let (_folder, binary) = for_everybody();
    let three = "prlimit --nproc=3 setpriv --reuid=65532 --regid=65532 --clear-groups \
                 --inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon";
    let starter: Vec<&str> = three.split(' ').collect();
    let mut server = behind_of(&starter, &binary, SERVE).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = said
        .find_map(|line| Some(line.split_once("http://")?.1.strip_suffix("/metrics")?.to_owned()))
        .expect("it prints its address");
    for (path, status, word) in
        [("/metrics", "500", "ulimit -u"), ("/-/healthy", "200", ""), ("/metrics", "500", "thread")]
    {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(word), "{answer}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(said.find(|line| line.contains("panicked")), None);
}

#[test]
fn a_ring_that_does_not_fit_into_memory_is_named_with_its_option() {
    if !is_root_or_say("a ring that is too big") {
        return;
    }
    let limit = ["prlimit", "--as=500000000"];
    let big: Vec<&str> = ["--buffer", "512M"].iter().chain(LIVE).copied().collect();
    Answer::of(&mut behind(&limit, &big)).refuses(3, &["`EVENTS`", "--buffer", "memory"]);
    assert_ends(&Answer::of(&mut behind(&limit, LIVE)), 0, &["hooks 11 of 11"]);
}

#[test]
fn the_laboratory_says_when_sysctls_are_read_only() {
    if !is_root_or_say("a read-only /proc/sys") {
        return;
    }
    let freeze = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys";
    let answer = Answer::of(&mut where_mounts(freeze, LABORATORY));
    assert_ends(&answer, 3, &["/proc/sys is read-only", "remount,rw", "--privileged"]);
    let report = Answer::of(&mut where_mounts(freeze, &["check"]));
    assert_eq!(report.status, Some(0), "the log works: {report:?}");
    assert_off(&report, "laboratory", "/proc/sys is read-only");
}

#[test]
fn the_laboratory_without_the_right_to_make_links_says_so() {
    if !is_root_or_say("root without CAP_NET_ADMIN") {
        return;
    }
    let less = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    let answer = Answer::of(&mut behind(&less, LABORATORY));
    assert_ends(&answer, 3, &["cannot make a pair of links", "CAP_NET_ADMIN", "sudo"]);
    let report = Answer::of(&mut behind(&less, &["check"]));
    assert_eq!(report.status, Some(0), "the log works: {report:?}");
    assert_off(&report, "laboratory", "CAP_NET_ADMIN");
}

#[test]
fn an_exporter_that_may_not_have_its_address_says_which_it_may() {
    let nowhere = ["serve", "--web.listen-address", "192.0.2.1:10911"];
    let answer = Answer::of(&mut behind(&["env"], &nowhere));
    answer.refuses(3, &["192.0.2.1:10911", "no interface here has this address", "0.0.0.0"]);
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim().parse::<u16>().unwrap() <= 80 || !is_root_or_say("a port below 1024") {
        return;
    }
    let less = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"];
    let low = ["serve", "--web.listen-address", "127.0.0.1:80"];
    let answer = Answer::of(&mut behind(&less, &low));
    answer.refuses(3, &["127.0.0.1:80", "CAP_NET_BIND_SERVICE", "ip_unprivileged_port_start"]);
}

/// A library that makes a program see another release: it replaces the C library's `uname`, which aya calls.
const UNAME: &str = r#"
#define _GNU_SOURCE
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
int uname(struct utsname *name) {
    long failed = syscall(SYS_uname, name);
    strcpy(name->release, "7.3-amd64");
    strcpy(name->version, "SMP");
    return failed;
}
"#;

#[test]
fn a_release_without_a_third_number_is_not_complained_about() {
    if !is_root_or_say("a kernel with another release") {
        return;
    }
    let (folder, source) = file(UNAME.as_bytes());
    let library = folder.path().join("uname.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-x", "c"]).arg(&source).arg("-o").arg(&library);
    assert!(compiler.status().expect("cc, which also links this test").success());
    let mut command = behind(&["env"], LIVE);
    command.env("LD_PRELOAD", &library);
    let answer = Answer::of(&mut command);
    assert_ends(&answer, 0, &["hooks 11 of 11"]);
    assert!(!answer.stderr.contains("version:"), "{answer:?}");
}
