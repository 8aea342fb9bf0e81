//! `io_uring`: calls that threads of the kernel make for a process are the process's.
#![expect(unsafe_code, reason = "operations are pushed with pointers that the kernel follows")]

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, IntoRawFd as _},
    process,
};

use io_uring::{
    IoUring, opcode,
    squeue::{Entry, Flags},
    types::Fd,
};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::{lives::life, netns::Netns, sockets::V4, watch::Watch};

/// A ring whose calls are made by threads that are called so.
struct Ring {
    uring: IoUring,
    flags: Flags,
    threads: &'static str,
}

/// Has a thread of the ring make a call.
fn call(Ring { uring, flags, .. }: &mut Ring, entry: Entry) {
    // SAFETY: what the entry points to lives until its completion has come, below.
    unsafe { uring.submission().push(&entry.flags(*flags)) }.unwrap();
    uring.submit_and_wait(1).unwrap();
    let result = uring.completion().next().unwrap().result();
    assert!(result >= 0, "{}", io::Error::from_raw_os_error(-result));
}

/// Both ends of a connection, by calls of the ring alone; the client closes first.
fn talk(ring: &mut Ring) -> (SocketAddr, SocketAddr) {
    let listener = TcpListener::bind(V4).unwrap();
    let at = SockAddr::from(listener.local_addr().unwrap());
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let fd = Fd(client.as_raw_fd());
    call(ring, opcode::Connect::new(fd, at.as_ptr().cast(), at.len()).build());
    let (accepted, from) = listener.accept().unwrap();
    let mut byte = [7];
    call(ring, opcode::Send::new(fd, byte.as_ptr(), 1).build());
    let server = Fd(accepted.into_raw_fd());
    call(ring, opcode::Recv::new(server, byte.as_mut_ptr(), 1).build());
    call(ring, opcode::Close::new(Fd(client.into_raw_fd())).build());
    call(ring, opcode::Close::new(server).build());
    (listener.local_addr().unwrap(), from)
}

/// In every line the owner is this process by its name.
fn is_never_a_thread(ring: io::Result<IoUring>, flags: Flags, threads: &'static str) {
    let uring = match ring {
        Err(error) => {
            println!("measured: no io_uring here: {error}");
            return;
        }
        Ok(ring) => ring,
    };
    let mut ring = Ring { uring, flags, threads };
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (listening, connected) = netns.inside(|| talk(&mut ring));
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = watch.stop();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let (mut ways, mut by_thread) = (Vec::new(), false);
    for (local, remote) in [(listening, connected), (connected, listening)] {
        let life = life(&log.lines, local, remote);
        for line in &life.lines {
            let owner = line.process.clone().unwrap_or_else(|| panic!("an owner: {life}"));
            assert_eq!((owner.pid, owner.comm.as_str()), (process::id(), own.trim_end()), "{life}");
            by_thread |= owner.thread.is_some_and(|thread| thread.starts_with(ring.threads));
            ways.push(owner.via);
        }
    }
    assert!(by_thread, "{} made calls", ring.threads);
    for way in ["connect", "io", "close"] {
        assert!(ways.iter().any(|via| via == way), "{way}: {ways:?}");
    }
}

#[test]
fn a_worker_of_io_uring_is_never_the_owner() {
    needs_root!();
    is_never_a_thread(IoUring::new(8), Flags::ASYNC, "iou-wrk-");
}

#[test]
fn the_thread_that_polls_the_queue_of_an_io_uring_is_never_the_owner() {
    needs_root!();
    let ring = IoUring::builder().setup_sqpoll(1000).build(8);
    is_never_a_thread(ring, Flags::empty(), "iou-sqp-");
}
