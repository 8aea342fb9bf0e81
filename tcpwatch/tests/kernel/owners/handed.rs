//! An accepted connection that another process serves: the listener's process is a guess until then.

use std::{
    io::Write as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{self, Child, Command, Stdio},
};

use crate::harness::{
    connections::connection,
    lives::{Life, life},
    netns::Netns,
    sockets::V4,
    watch::{Log, Watch},
};

/// This process accepts, and hands the socket to a program as its standard input, with no copy left here.
struct Handed {
    client: TcpStream,
    worker: Child,
    ends: (SocketAddr, SocketAddr),
}

fn hand_over(netns: &Netns, program: &str, args: &[&str]) -> Handed {
    let (client, accepted) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    });
    let ends = (accepted.local_addr().unwrap(), accepted.peer_addr().unwrap());
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::from(OwnedFd::from(accepted))).stdout(Stdio::null());
    let worker = command.spawn().unwrap();
    Handed { client, worker, ends }
}

/// Process, name and way of knowing, in the line that leaves or enters a state.
fn owner_when(life: &Life, change: &str) -> (u32, String, String) {
    let shown = life.lines.iter().find(|shown| shown.is(change));
    let shown = shown.unwrap_or_else(|| panic!("no {change}: {life}"));
    let owner = shown.process.clone().unwrap_or_else(|| panic!("an owner: {shown}"));
    (owner.pid, owner.comm, owner.via)
}

fn told((local, remote): (SocketAddr, SocketAddr), log: &Log) -> Life {
    life(&log.lines, local, remote)
}

#[test]
fn a_worker_that_closes_last_is_the_owner_from_its_first_byte_on() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let Handed { mut client, mut worker, ends } = hand_over(&netns, "cat", &[]);
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(worker.wait().unwrap().success());
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let theirs = told(ends, &log);
    let me = process::id();
    let (pid, _, via) = owner_when(&theirs, "SYN_RECV>ESTABLISHED");
    assert_eq!((pid, via.as_str()), (me, "listen"), "a guess: {theirs}");
    let worker = |via: &str| (worker.id(), "cat".to_owned(), via.to_owned());
    assert_eq!(owner_when(&theirs, "CLOSE_WAIT>LAST_ACK"), worker("close"), "{theirs}");
    assert_eq!(owner_when(&theirs, "LAST_ACK>CLOSED"), worker("close"), "{theirs}");
    let whole = connection(&log.lines, ends).process.clone().unwrap();
    assert_eq!((whole.pid, whole.comm.as_str()), (worker("").0, "cat"));
}

#[test]
fn a_worker_that_closes_first_is_the_owner_of_the_time_wait_too() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let Handed { mut client, mut worker, ends } = hand_over(&netns, "head", &["-c", "1"]);
    client.write_all(b"x").unwrap();
    assert!(worker.wait().unwrap().success());
    drop(client);
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let theirs = told(ends, &watch.stop());
    let expected = (worker.id(), "head".to_owned(), "close".to_owned());
    assert_eq!(owner_when(&theirs, "ESTABLISHED>FIN_WAIT_1"), expected, "{theirs}");
    assert_eq!(owner_when(&theirs, "FIN_WAIT_2>TIME_WAIT"), expected, "{theirs}");
}

#[test]
fn a_worker_that_leaves_data_unread_is_the_owner_of_the_reset() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let Handed { mut client, mut worker, ends } = hand_over(&netns, "sleep", &["30"]);
    client.write_all(b"x").unwrap();
    worker.kill().unwrap();
    worker.wait().unwrap();
    watch.wait_count(2, "both ends", |line| line.is("ESTABLISHED>CLOSED"));
    let theirs = told(ends, &watch.stop());
    let expected = (worker.id(), "sleep".to_owned(), "close".to_owned());
    assert_eq!(owner_when(&theirs, "ESTABLISHED>CLOSED"), expected, "{theirs}");
}

#[test]
fn who_reads_is_the_owner_before_anybody_closes_unless_that_is_switched_off() {
    needs_root!();
    for (args, via, own) in [(&[][..], "io", false), (&["--no-io"], "listen", true)] {
        let netns = Netns::new();
        let watch = Watch::with(&netns, args);
        let Handed { mut client, mut worker, ends } = hand_over(&netns, "cat", &[]);
        client.write_all(b"x").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        worker.wait().unwrap();
        watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
        let theirs = told(ends, &watch.stop());
        // The FIN comes after the byte; whether it was read by then is the scheduler's choice.
        let (pid, _, known) = owner_when(&theirs, "ESTABLISHED>CLOSE_WAIT");
        if own {
            assert_eq!((pid, known.as_str()), (process::id(), via), "{theirs}");
        } else {
            assert!([via, "listen"].contains(&known.as_str()), "{theirs}");
        }
    }
}
