//! Sockets whose process is another one than before, or another program.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{self, Child, Command, Stdio},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::harness::{
    lives::{Life, life},
    netns::Netns,
    sockets::V4,
    watch::Watch,
};

const CHILD: &str = "TCPWATCH_CHILD";
const CONNECTS: &str = "TCPWATCH_CONNECTS";
const PROGRAM: &str = "owners::passed::a_program_connects_and_becomes_head";
const READER: &str = "owners::passed::a_program_reads_and_becomes_cat";
const RECEIVER: &str = "owners::passed::a_worker_receives_a_socket_and_reads_from_it";
const LISTENER: &str = "owners::passed::a_starter_listens_and_exits";

/// This test program again, as a process that does what one of its tests does.
fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::null());
    command
}

fn child(test: &str, input: OwnedFd) -> Child {
    again(test).env(CHILD, "1").stdin(Stdio::from(input)).spawn().unwrap()
}

fn input() -> OwnedFd {
    rustix::io::dup(rustix::stdio::stdin()).unwrap()
}

#[test]
#[ignore = "runs in the child process of another test"]
fn a_worker_receives_a_socket_and_reads_from_it() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let mut byte = [0];
    recvmsg(input(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::empty())
        .unwrap();
    let mut messages = ancillary.drain();
    let Some(RecvAncillaryMessage::ScmRights(mut files)) = messages.next() else { panic!("none") };
    let mut stream = TcpStream::from(files.next().unwrap());
    stream.read_exact(&mut byte).unwrap();
    stream.write_all(&byte).unwrap();
    assert_eq!(stream.read(&mut byte).unwrap(), 0, "the client closes");
}

#[test]
#[ignore = "runs in the child process of another test"]
fn a_starter_listens_and_exits() {
    if env::var_os(CHILD).is_some() {
        rustix::net::listen(input(), 8).unwrap();
    }
}

#[test]
#[ignore = "runs in the child process of another test"]
fn a_program_connects_and_becomes_head() {
    let Some(at) = env::var_os(CONNECTS) else { return };
    let stream = TcpStream::connect(at.to_str().unwrap()).unwrap();
    let mut head = Command::new("head");
    let error = head.args(["-c", "1"]).stdin(Stdio::from(OwnedFd::from(stream))).exec();
    panic!("head: {error}");
}

#[test]
#[ignore = "runs in the child process of another test"]
fn a_program_reads_and_becomes_cat() {
    let Some(at) = env::var_os(CONNECTS) else { return };
    let mut stream = TcpStream::connect(at.to_str().unwrap()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let error = Command::new("cat").stdin(Stdio::from(OwnedFd::from(stream))).exec();
    panic!("cat: {error}");
}

/// Process and way of knowing, in the line of a change.
#[track_caller]
fn owner_when(life: &Life, change: &str) -> (u32, String) {
    let shown = life.lines.iter().find(|shown| shown.is(change));
    let owner = shown.and_then(|shown| shown.process.clone());
    let owner = owner.unwrap_or_else(|| panic!("no owner at {change}: {life}"));
    (owner.pid, owner.via)
}

fn ends(accepted: &TcpStream) -> (SocketAddr, SocketAddr) {
    (accepted.local_addr().unwrap(), accepted.peer_addr().unwrap())
}

#[test]
fn a_socket_that_was_handed_over_by_scm_rights_belongs_to_its_receiver() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut worker = child(RECEIVER, theirs.into());
    let (mut client, accepted) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    });
    let (local, remote) = ends(&accepted);
    let files = [accepted.as_fd()];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&files)));
    sendmsg(&ours, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).unwrap();
    drop(accepted);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    drop(client);
    assert!(worker.wait().unwrap().success());
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let theirs = life(&log.lines, local, remote);
    let guess = (process::id(), "listen".to_owned());
    assert_eq!(owner_when(&theirs, "SYN_RECV>ESTABLISHED"), guess, "{theirs}");
    let read = (worker.id(), "io".to_owned());
    assert_eq!(owner_when(&theirs, "ESTABLISHED>CLOSE_WAIT"), read, "{theirs}");
    let closed = (worker.id(), "close".to_owned());
    assert_eq!(owner_when(&theirs, "CLOSE_WAIT>LAST_ACK"), closed, "{theirs}");
}

#[test]
fn who_accepts_from_a_listener_whose_process_has_exited_owns_what_it_reads_and_closes() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let socket = netns.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&V4.parse::<SocketAddr>().unwrap().into()).unwrap();
        socket
    });
    let mut starter = child(LISTENER, socket.try_clone().unwrap().into());
    assert!(starter.wait().unwrap().success());
    let listener = TcpListener::from(socket);
    let mut client = netns.inside(|| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (mut accepted, _) = listener.accept().unwrap();
    let (local, remote) = ends(&accepted);
    client.write_all(b"x").unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    drop(client);
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "the client closes");
    drop(accepted);
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let theirs = life(&log.lines, local, remote);
    let guess = (starter.id(), "listen".to_owned());
    assert_eq!(owner_when(&theirs, "SYN_RECV>ESTABLISHED"), guess, "{theirs}");
    let read = (process::id(), "io".to_owned());
    assert_eq!(owner_when(&theirs, "ESTABLISHED>CLOSE_WAIT"), read, "{theirs}");
    let closed = (process::id(), "close".to_owned());
    assert_eq!(owner_when(&theirs, "CLOSE_WAIT>LAST_ACK"), closed, "{theirs}");
}

#[test]
fn after_exec_the_owner_has_its_new_name() {
    needs_root!();
    let netns = Netns::new();
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let watch = Watch::on(&netns);
    let mut command = again(PROGRAM);
    command.env(CONNECTS, listener.local_addr().unwrap().to_string()).stdin(Stdio::null());
    let mut program = netns.inside(|| command.spawn().unwrap());
    let (mut accepted, _) = listener.accept().unwrap();
    let (local, remote) = ends(&accepted);
    accepted.write_all(b"x").unwrap();
    assert!(program.wait().unwrap().success());
    drop(accepted);
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = watch.stop();
    let ours = life(&log.lines, remote, local);
    let named = |line: &crate::harness::line::Line| {
        let owner = line.process.clone().unwrap();
        (owner.pid, owner.comm, owner.thread)
    };
    let (pid, before, _) = named(ours.entered("ESTABLISHED"));
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!((pid, before.as_str()), (program.id(), own.trim_end()), "{ours}");
    for state in ["FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"] {
        let after = named(ours.entered(state));
        assert_eq!(after, (program.id(), "head".to_owned(), None), "{ours}");
    }
}

#[test]
fn a_process_that_goes_on_reading_after_exec_has_its_new_name_at_once() {
    needs_root!();
    let netns = Netns::new();
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let watch = Watch::on(&netns);
    let mut command = again(READER);
    command.env(CONNECTS, listener.local_addr().unwrap().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut program = netns.inside(|| command.spawn().unwrap());
    let (mut accepted, _) = listener.accept().unwrap();
    let (local, remote) = ends(&accepted);
    accepted.write_all(b"x").unwrap();
    accepted.write_all(b"\nfrom cat\n").unwrap();
    // What the test runner prints comes before.
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "from cat"), "cat has read it");
    // Stopped, it does not close the socket before the line is there.
    kill_process(Pid::from_child(&program), Signal::STOP).unwrap();
    accepted.shutdown(Shutdown::Write).unwrap();
    watch.wait_count(1, "CLOSE_WAIT", |line| line.to == "CLOSE_WAIT");
    program.kill().unwrap();
    program.wait().unwrap();
    let log = watch.stop();
    let ours = life(&log.lines, remote, local);
    let owner = ours.entered("CLOSE_WAIT").process.clone().unwrap();
    let expected = (program.id(), "cat", "io");
    assert_eq!((owner.pid, owner.comm.as_str(), owner.via.as_str()), expected, "{ours}");
}
