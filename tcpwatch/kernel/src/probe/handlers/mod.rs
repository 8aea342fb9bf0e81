//! The two functions by which the timers of mini-sockets are told apart from all others: `tw_timer_handler`
//! and `reqsk_timer_handler` of the kernel's sources, whatever the compiler made of their names.
//!
//! They are learned from the kernel itself. This process makes a timewait and a request socket
//! ([`crate::trial`]), and a program on the iterator `tcp` (since 5.9) reads the function out of each
//! one's timer. That takes neither `/proc/kallsyms` nor `CAP_SYSLOG`. The sockets are in a network
//! namespace of their own; without `CAP_SYS_ADMIN` they are on the loopback of the present one. They are
//! gone before the first hook is attached.

use std::{
    io::{self, Read as _},
    thread,
    time::{Duration, Instant},
};

use aya::{
    Btf, Ebpf,
    programs::{Iter, ProgramError, links::LinkError},
};
use tcpwatch_common::{MiniKind, SeenSocket, seen_socket::SEEN_BYTES};

use super::error::reason;
use crate::trial::{Ground, Left, LoopbackSockets, PATIENCE, Ports};

/// The iterator.
pub(super) const ITERATOR: &str = "tcp";

/// Addresses of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handlers {
    /// That of timewait sockets.
    pub timewait: u64,
    /// That of request sockets.
    pub request: u64,
    /// How they are known.
    pub by: KnownBy,
}

/// How the functions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// By sockets of this process's own.
    OwnSockets,
    /// By their names in the kernel's list.
    Names,
}

/// The functions could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The object file has no such program.
    #[error("the built-in object file has no iterator over TCP sockets; this build is broken")]
    NoProgram,
    /// The kernel has no such iterator, or refuses its program.
    #[error("the kernel's list of TCP sockets (iter/tcp) cannot be read by a program: {0}")]
    Iterator(String),
    /// A socket could not be made.
    #[error("cannot connect to itself on 127.0.0.1: {0}")]
    Sockets(#[source] io::Error),
    /// The list could not be read.
    #[error("cannot read the kernel's list of TCP sockets: {0}")]
    Read(#[source] io::Error),
    /// A socket was made, and the list does not have it.
    #[error("no {what} socket came of a connection to itself on 127.0.0.1")]
    NotSeen {
        /// What is missing.
        what: &'static str,
    },
}

impl From<ProgramError> for LearnError {
    fn from(error: ProgramError) -> Self {
        Self::Iterator(reason(&error))
    }
}

impl From<LinkError> for LearnError {
    fn from(error: LinkError) -> Self {
        Self::Iterator(error.to_string())
    }
}

/// Between two looks. Both sockets are there when the system calls return, unless the softirq that makes
/// them was put off.
const PAUSE: Duration = Duration::from_millis(1);

/// Learns them, on `ground` if that is possible; nothing of it stays loaded.
pub(super) fn learn(
    ebpf: &mut Ebpf,
    btf: &Btf,
    ground: Option<&Ground>,
) -> Result<Handlers, LearnError> {
    let program: &mut Iter = ebpf
        .program_mut("tcp_sockets")
        .and_then(|program| program.try_into().ok())
        .ok_or(LearnError::NoProgram)?;
    program.load(ITERATOR, btf)?;
    let apart = ground.and_then(|ground| ground.on(|| from_own_sockets(program)).ok()?.ok());
    let learned = apart.map_or_else(|| from_own_sockets(program), Ok);
    program.unload()?;
    learned
}

fn from_own_sockets(program: &mut Iter) -> Result<Handlers, LearnError> {
    let (ports, own) = own_sockets().map_err(LearnError::Sockets)?;
    let learned = until(|| handlers(&list(program, ports)?));
    let (stage, [half_open, left]) = own;
    // What is left would be seen by the hooks; that is no reason to do without what was learned.
    let _ended = (half_open.end().is_ok(), left.end().is_ok());
    drop(stage);
    let gone = || if list(program, ports)?.is_empty() { Ok(()) } else { Err(not_seen("end of a")) };
    let _gone = until(gone).is_ok();
    learned
}

/// A request socket and a timewait socket, which is in FIN_WAIT_2.
fn own_sockets() -> io::Result<(Ports, (LoopbackSockets, [Left; 2]))> {
    let stage = LoopbackSockets::set()?;
    stage.open()?;
    let mini_sockets = [stage.leave_half_open()?, stage.leave_in_fin_wait_2()?];
    Ok((stage.ports()?, (stage, mini_sockets)))
}

/// Repeats what does not succeed at once, as long as the reason is a socket that is not there yet.
fn until<T>(mut attempt: impl FnMut() -> Result<T, LearnError>) -> Result<T, LearnError> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(LearnError::NotSeen { .. }) if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
            other => return other,
        }
    }
}

const fn not_seen(what: &'static str) -> LearnError {
    LearnError::NotSeen { what }
}

fn handlers(seen: &[SeenSocket]) -> Result<Handlers, LearnError> {
    let of = |kind: MiniKind, what| {
        let is_it = |socket: &&SeenSocket| socket.is(kind) && socket.handler != 0;
        seen.iter().find(is_it).map(|socket| socket.handler).ok_or(not_seen(what))
    };
    Ok(Handlers {
        timewait: of(MiniKind::TimeWait, "timewait")?,
        request: of(MiniKind::Request, "request")?,
        by: KnownBy::OwnSockets,
    })
}

/// Sockets of the calling thread's network namespace at either end of which is one of `ports`.
fn list(program: &mut Iter, ports: Ports) -> Result<Vec<SeenSocket>, LearnError> {
    let id = program.attach()?;
    let mut file = program.take_link(id)?.into_file()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(LearnError::Read)?;
    let (sockets, _) = bytes.as_chunks::<SEEN_BYTES>();
    let sockets = sockets.iter().map(|bytes| SeenSocket::from_bytes(*bytes));
    Ok(sockets.filter(|seen| ports.has(seen.local_port) || ports.has(seen.remote_port)).collect())
}
