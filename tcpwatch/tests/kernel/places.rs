//! The cgroup of a socket, with its unit and container.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    os::unix::ffi::OsStrExt as _,
    process::{self, Command},
};

use tcpwatch_core::event::{self, TcpState};
use tcpwatch_kernel::source::{
    cgroup_paths::CgroupPaths,
    snapshot::{FindOwners, SnapshotScope, take},
};

use crate::{
    carried,
    harness::{
        cgroup::Cgroup,
        line::Line,
        lives::{life, listener_life, transcript},
        netns::Netns,
        peer::Peer,
        watch::{Log, Watch},
    },
};

/// A name that no other test has.
fn own(name: &str) -> String {
    format!("tcpwatch-{}-{name}", process::id())
}

fn id(digits: &str) -> String {
    digits.repeat(64 / digits.len())
}

/// A server and a client in cgroups of their own, connected; the server closes first.
struct Talk {
    server: Peer,
    client: Peer,
    listening: SocketAddr,
    connected: SocketAddr,
}

impl Talk {
    fn begin(netns: &Netns, servers: &Cgroup, clients: &Cgroup) -> Self {
        let (mut server, mut client) =
            (Peer::start(netns, "a-server"), Peer::start(netns, "a-client"));
        servers.take(server.pid());
        clients.take(client.pid());
        let listening = server.listen("127.0.0.1:0");
        let connected = client.connect(listening);
        assert_eq!(server.accept(), connected);
        Self { server, client, listening, connected }
    }

    fn end(&mut self) {
        self.server.close();
        self.client.await_fin();
        self.client.close();
        self.server.stop_listening();
    }
}

fn await_end(watch: Watch) -> Log {
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    watch.wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
    watch.stop()
}

/// All lines are of this cgroup.
#[track_caller]
fn assert_in(lines: &[Line], cgroup: &Cgroup) {
    assert!(!lines.is_empty(), "there are lines");
    for line in lines {
        assert_eq!(line.cgroup.as_deref(), Some(cgroup.path().as_str()), "{line}");
    }
}

#[test]
fn every_line_is_of_the_sockets_cgroup_half_open_orphaned_and_in_time_wait_too() {
    needs_root!();
    let netns = Netns::new();
    let container = id("0123456789abcdef");
    let slice = Cgroup::new(own("a.slice"));
    let servers = slice.below(format!("docker-{container}.scope"));
    let clients = slice.below("order-api.service");
    let watch = Watch::on(&netns);
    let mut talk = Talk::begin(&netns, &servers, &clients);
    talk.end();
    let log = await_end(watch);

    let theirs = life(&log.lines, talk.listening, talk.connected);
    let path = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
    assert_eq!(theirs.path(), path, "{theirs}");
    assert_in(&theirs.lines, &servers);
    assert_in(&listener_life(&log.lines, talk.listening).lines, &servers);
    assert_eq!(theirs.lines[0].container.as_deref(), Some(container.as_str()));
    assert_eq!(theirs.lines[0].runtime.as_deref(), Some("docker"));
    assert_in(&life(&log.lines, talk.connected, talk.listening).lines, &clients);
    let ended = |line: &&Line| line.event == "connection";
    let whole: Vec<Line> = log.lines.iter().filter(ended).cloned().collect();
    assert_in(&whole, &clients);
    assert_eq!(whole[0].unit.as_deref(), Some("order-api.service"));
}

#[test]
fn a_socket_keeps_its_cgroup_when_its_process_moves_and_when_the_cgroup_is_gone() {
    needs_root!();
    let netns = Netns::new();
    let (first, second) = (Cgroup::new(own("first")), Cgroup::new(own("second")));
    let watch = Watch::on(&netns);
    let mut talk = Talk::begin(&netns, &first, &second);
    // By then the path has been looked up.
    watch.wait_count(1, "the connection", |line| line.is("SYN_RECV>ESTABLISHED"));
    second.take(talk.server.pid());
    first.remove();
    let late = Watch::on(&netns);
    talk.end();
    let (log, later) = (await_end(watch), await_end(late));
    assert_in(&life(&log.lines, talk.listening, talk.connected).lines, &first);
    assert_in(&listener_life(&log.lines, talk.listening).lines, &first);
    for line in &life(&later.lines, talk.listening, talk.connected).lines {
        assert_eq!(line.cgroup, None, "it was gone before: {line}");
    }
    assert_in(&life(&later.lines, talk.connected, talk.listening).lines, &second);
}

#[test]
fn cgroup_unit_and_container_filters_show_what_is_there_and_nothing_else() {
    needs_root!();
    let netns = Netns::new();
    let (wanted, other) = (id("c0ffee00"), id("c0ffee01"));
    let slice = Cgroup::new(own("f.slice"));
    let containers = slice.below("containers");
    let neighbour = containers.below(&other);
    let servers = containers.below(&wanted);
    let word = containers.path();
    let by_path = Watch::with(&netns, &["--cgroup", &word]);
    let by_id = Watch::with(&netns, &["--container", "c0ffee00c"]);
    let by_unit = Watch::with(&netns, &["--unit", &own("api")]);
    // Made while it is being watched.
    let clients = slice.below(own("api.service"));
    let mut talk = Talk::begin(&netns, &servers, &clients);
    talk.end();
    let (by_path, by_id) = [by_path, by_id]
        .map(|watch| {
            watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
            watch.wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
            watch.stop()
        })
        .into();
    by_unit.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let by_unit = by_unit.stop();
    assert_in(&by_path.lines, &servers);
    assert_in(&by_id.lines, &servers);
    assert_in(&by_unit.lines, &clients);
    let path = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
    for log in [by_path, by_id] {
        let said = transcript(&log.lines);
        assert_eq!(life(&log.lines, talk.listening, talk.connected).path(), path, "{said}");
    }
    let path = "CLOSED SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED";
    assert_eq!(life(&by_unit.lines, talk.connected, talk.listening).path(), path);
    refuses(&["--container", "c0ffee"], &[&wanted, &other, "more than one container"]);
    refuses(&["--container", "my-app"], &["my-app", "--cgroup or --unit"]);
    drop(neighbour);
}

/// It ends as after wrong usage, with these words.
fn refuses(args: &[&str], words: &[&str]) {
    let output = Command::new(carried::program()).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_recording_has_the_paths_and_a_name_full_of_odd_bytes_reaches_no_terminal() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let netns = Netns::new();
    let mut name = own("a \"b\"\\\u{1b}[2J\t\u{9b}").into_bytes();
    name.push(0xff);
    let odd = Cgroup::new(OsStr::from_bytes(&name));
    let watch = Watch::with(&netns, &["--record", recording.to_str().unwrap()]);
    let mut talk = Talk::begin(&netns, &odd, &odd);
    talk.end();
    let log = await_end(watch);
    assert_in(&log.lines, &odd);
    // Only the recording still has it.
    drop(talk);
    odd.remove();

    for (format, says) in [("json", true), ("text", false)] {
        let mut command = Command::new(carried::program());
        let output = command.args(["replay", "--format", format]).arg(&recording).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
        let of_path = |line: &&str| line.contains(r#""cgroup":"/tcpwatch-"#);
        let lines = text.lines().filter(of_path).count();
        assert_eq!(lines == text.lines().count(), says, "{text}");
    }
}

#[test]
fn a_socket_that_was_there_before_has_the_cgroup_that_sock_diag_tells() {
    needs_root!();
    let netns = Netns::new();
    let cgroup = Cgroup::new(own("before"));
    let mut peer = Peer::start(&netns, "a-server");
    cgroup.take(peer.pid());
    let at = peer.listen("127.0.0.1:0");
    let found = take(SnapshotScope::Only(event::Netns(netns.inode)), FindOwners::Skip).unwrap();
    let mut listeners = found.sockets.iter().filter(|known| known.state == TcpState::Listen);
    let listener = listeners.find(|known| known.ends.local.port == at.port()).unwrap();
    let id = listener.cgroup.expect("the kernel has it since 5.9");
    let path = CgroupPaths::new().path(id, std::time::Instant::now()).unwrap();
    assert_eq!(String::from_utf8(path).unwrap(), cgroup.path());
}
