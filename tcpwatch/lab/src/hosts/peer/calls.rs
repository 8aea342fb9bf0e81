//! Turns one command into system calls; each is reported with the kernel's time and as strace shows it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    process,
};

use nix::{errno::Errno as Named, unistd::close};
use rustix::{
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt},
};
use tcpwatch_core::event::KernelTime;
use tcpwatch_kernel::{clock, probe::filters::FamilyFilter};

use super::{
    Reporter, address,
    begun::Watcher,
    option::SocketOption,
    sockets::{NamedSockets, Shared},
    tick::Tick,
};
use crate::{
    host::Host,
    hosts::channel::HostMessage,
    scenario::{Call, CallKind, Shutdown},
    story::SystemCall,
};

/// Where the server waits for the client's datagram (UDP).
const MEETING_PORT: u16 = 11_112;

/// Data is sent and received in pieces of this many bytes at most.
const PIECE: usize = 64 * 1024;

/// Makes `sendto()` open the connection and carry data; rustix does not define it.
const MSG_FASTOPEN: u32 = 0x2000_0000;

/// A host's process and its resources.
pub(super) struct HostProcess {
    host: Host,
    family: FamilyFilter,
    sockets: NamedSockets,
    reporter: Reporter,
    watcher: Watcher,
    tick: Tick,
}

/// A system call that has begun.
struct Begun {
    at: KernelTime,
    call: SystemCall,
    reporter: Reporter,
    /// Its beginning was reported, so its end is reported with its own time.
    is_reported: bool,
}

impl Begun {
    fn new(reporter: &Reporter, socket: &str, name: &str, call: String) -> Self {
        let call =
            SystemCall { socket: socket.to_owned(), name: name.to_owned(), call, result: None };
        Self { at: clock::now(), call, reporter: reporter.clone(), is_reported: false }
    }

    fn returned<T: TryInto<i64>>(self, result: Result<T, Errno>) {
        let at = if self.is_reported { clock::now() } else { self.at };
        self.returned_at(at, result);
    }

    fn returned_at<T: TryInto<i64>>(mut self, at: KernelTime, result: Result<T, Errno>) {
        self.call.result = Some(match result {
            Ok(value) => Ok(value.try_into().unwrap_or(i64::MAX)),
            Err(error) => Err(name_of(error)),
        });
        self.reporter.send(&HostMessage::Returned(at, self.call));
    }

    fn reported(mut self) -> Self {
        self.is_reported = true;
        self.reporter.send(&HostMessage::Called(self.at, self.call.clone()));
        self
    }
}

/// The name of an error: `ECONNREFUSED`.
fn name_of(error: Errno) -> String {
    format!("{:?}", Named::from_raw(error.raw_os_error()))
}

impl HostProcess {
    pub(super) fn new(
        host: Host,
        family: FamilyFilter,
        reporter: Reporter,
        (watcher, tick): (Watcher, Tick),
    ) -> Self {
        Self { host, family, sockets: NamedSockets::default(), reporter, watcher, tick }
    }

    pub(super) fn execute(&mut self, call: &Call) -> Result<(), String> {
        let name = &*call.socket;
        match &call.kind {
            CallKind::Socket => self.socket(name).map(drop),
            CallKind::SetOption { name: option, value } => self.set_option(name, option, *value),
            CallKind::Bind { port } => self.bind(name, &self.sockets.get(name)?, *port),
            CallKind::Listen { port, backlog } => self.listen(name, *port, *backlog),
            CallKind::Connect { port } => self.connect(name, *port),
            CallKind::ConnectTogether { port } => self.connect_together(name, *port),
            CallKind::FastOpen { port, bytes } => self.fast_open(name, *port, *bytes),
            CallKind::Accept { listener } => self.accept(name, listener),
            CallKind::Send { bytes } => self.send(name, *bytes),
            CallKind::Recv { bytes } => self.recv(name, *bytes, false),
            CallKind::RecvThenClose { bytes } => self.recv(name, *bytes, true),
            CallKind::Shutdown(half) => self.shutdown(name, *half),
            CallKind::Close => self.close(name),
            CallKind::Reset => self.reset(name),
            CallKind::Exit => self.exit(name),
        }
    }

    fn begin(&self, socket: &str, name: &str, call: String) -> Begun {
        Begun::new(&self.reporter, socket, name, call)
    }

    /// Makes a system call that returns at once and without which the step is pointless.
    fn must<T>(
        &self,
        socket: &str,
        name: &str,
        call: &str,
        act: impl FnOnce() -> Result<T, Errno>,
        value: impl FnOnce(&T) -> i32,
    ) -> Result<T, String> {
        let begun = self.begin(socket, name, call.to_owned());
        let result = act();
        begun.returned(result.as_ref().map(value).map_err(|error| *error));
        result.map_err(|error| format!("{call} = -1 {} ({error})", name_of(error)))
    }

    fn socket(&self, name: &str) -> Result<Shared, String> {
        self.sockets.must_be_new(name)?;
        let domain = match self.family {
            FamilyFilter::V4 => AddressFamily::INET,
            FamilyFilter::V6 => AddressFamily::INET6,
        };
        let make = || {
            let flags = SocketFlags::CLOEXEC;
            net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))
        };
        let socket = self.must(name, "socket", "socket()", make, OwnedFd::as_raw_fd)?;
        Ok(self.sockets.add(name, socket))
    }

    /// The socket with that name, made if there is none, and whether it is bound.
    fn socket_if_none(&self, name: &str) -> Result<(Shared, bool), String> {
        match self.sockets.find(name) {
            Some(found) => Ok(found),
            None => Ok((self.socket(name)?, false)),
        }
    }

    fn set_option(&self, name: &str, option: &str, value: i64) -> Result<(), String> {
        let socket = self.sockets.get(name)?;
        let option = SocketOption::named(option)?;
        let value = i32::try_from(value).map_err(|error| format!("{value}: {error}"))?;
        let call = format!("setsockopt({}, {}, {value})", socket.as_raw_fd(), option.name);
        let set = || option.set(socket.as_fd(), value).map_err(|error| to_errno(&error));
        self.must(name, "setsockopt", &call, set, |()| 0)
    }

    fn bind(&self, name: &str, socket: &Shared, port: u16) -> Result<(), String> {
        let local = address(self.host, self.family, port);
        let call = format!("bind({})", socket.as_raw_fd());
        self.must(name, "bind", &call, || net::bind(socket, &local), |()| 0)?;
        self.sockets.set_bound(name);
        Ok(())
    }

    fn listen(&self, name: &str, port: u16, backlog: u32) -> Result<(), String> {
        let (socket, is_bound) = self.socket_if_none(name)?;
        if !is_bound {
            // A connection of an earlier listener may still be in TIME_WAIT. Not reported: any server sets this option,
            // and if it could not be set, `bind()` fails.
            sockopt::set_socket_reuseaddr(&socket, true).unwrap_or_default();
            self.bind(name, &socket, port)?;
        }
        let call = format!("listen({}, {backlog})", socket.as_raw_fd());
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        self.must(name, "listen", &call, || net::listen(&socket, backlog), |()| 0)
    }

    fn remote(&self, port: u16) -> SocketAddr {
        address(self.host.peer(), self.family, port)
    }

    fn connect(&self, name: &str, port: u16) -> Result<(), String> {
        let (socket, _) = self.socket_if_none(name)?;
        let remote = self.remote(port);
        let begun = self.begin(name, "connect", format!("connect({})", socket.as_raw_fd()));
        self.watcher.begin(&[libc::SYS_connect], move || {
            let begun = begun.reported();
            let result = net::connect(&socket, &remote);
            // Before the report: a reader of the report may close the socket.
            drop(socket);
            begun.returned(result.map(|()| 0));
        })
    }

    fn connect_together(&self, name: &str, port: u16) -> Result<(), String> {
        let cannot = |error: io::Error| format!("the two hosts cannot meet: {error}");
        let (socket, _) = self.socket_if_none(name)?;
        if self.host == Host::Client {
            let word = UdpSocket::bind(address(self.host, self.family, 0)).map_err(cannot)?;
            self.tick.wait_for_the_wheel();
            let server = address(self.host.peer(), self.family, MEETING_PORT);
            word.send_to(&[0], server).map_err(cannot)?;
            return self.connect(name, port);
        }
        let word =
            UdpSocket::bind(address(self.host, self.family, MEETING_PORT)).map_err(cannot)?;
        let (remote, reporter, name) = (self.remote(port), self.reporter.clone(), name.to_owned());
        self.watcher.begin(&[libc::SYS_recvfrom, libc::SYS_connect], move || {
            // If no datagram can come any more, it connects alone.
            drop(word.recv(&mut [0]));
            drop(word);
            let call = format!("connect({})", socket.as_raw_fd());
            let begun = Begun::new(&reporter, &name, "connect", call).reported();
            let result = net::connect(&socket, &remote);
            drop(socket);
            begun.returned(result.map(|()| 0));
        })
    }

    fn fast_open(&self, name: &str, port: u16, bytes: u32) -> Result<(), String> {
        let (socket, _) = self.socket_if_none(name)?;
        let remote = self.remote(port);
        let data = data(bytes)?;
        let call = format!("sendto({}, {bytes}, MSG_FASTOPEN)", socket.as_raw_fd());
        let begun = self.begin(name, "sendto", call);
        self.watcher.begin(&[libc::SYS_sendto], move || {
            let begun = begun.reported();
            let flags = SendFlags::from_bits_retain(MSG_FASTOPEN) | SendFlags::NOSIGNAL;
            let result = net::sendto(&socket, &data, flags, &remote);
            drop(socket);
            begun.returned(result);
        })
    }

    fn accept(&self, name: &str, listener: &str) -> Result<(), String> {
        self.sockets.must_be_new(name)?;
        let listener = self.sockets.get(listener)?;
        let sockets = self.sockets.clone();
        let begun = self.begin(name, "accept", format!("accept({})", listener.as_raw_fd()));
        let name = name.to_owned();
        self.watcher.begin(&[libc::SYS_accept, libc::SYS_accept4], move || {
            let begun = begun.reported();
            let result = net::accept_with(&listener, SocketFlags::CLOEXEC);
            drop(listener);
            begun.returned(result.map(|socket| sockets.add(&name, socket).as_raw_fd()));
        })
    }

    fn send(&self, name: &str, bytes: u32) -> Result<(), String> {
        let socket = self.sockets.get(name)?;
        let data = data(bytes)?;
        let begun = self.begin(name, "send", format!("send({}, {bytes})", socket.as_raw_fd()));
        self.watcher.begin(&[libc::SYS_sendto], move || {
            let begun = begun.reported();
            let result = net::send(&socket, &data, SendFlags::NOSIGNAL);
            drop(socket);
            begun.returned(result);
        })
    }

    fn recv(&self, name: &str, bytes: Option<u32>, then_close: bool) -> Result<(), String> {
        let socket = self.sockets.get(name)?;
        let begun = self.begin(name, "recv", format!("recv({})", socket.as_raw_fd()));
        let (sockets, reporter, name) =
            (self.sockets.clone(), self.reporter.clone(), name.to_owned());
        self.watcher.begin(&[libc::SYS_recvfrom], move || {
            let begun = begun.reported();
            let result = receive(&socket, bytes);
            drop(socket);
            // No other call takes it away: the scenario's steps were checked before.
            let socket = then_close.then(|| sockets.take(&name).ok()).flatten();
            let Some(socket) = socket else { return begun.returned(result) };
            // Both are reported afterwards: a report in between would delay the close.
            let received_at = clock::now();
            let closing = Begun::new(&reporter, &name, "close", close_call(&socket));
            let closed = close_now(socket);
            begun.returned_at(received_at, result);
            closing.returned(closed);
        })
    }

    fn shutdown(&self, name: &str, half: Shutdown) -> Result<(), String> {
        let socket = self.sockets.get(name)?;
        let (word, half) = match half {
            Shutdown::Read => ("SHUT_RD", net::Shutdown::Read),
            Shutdown::Write => ("SHUT_WR", net::Shutdown::Write),
            Shutdown::Both => ("SHUT_RDWR", net::Shutdown::Both),
        };
        let call = format!("shutdown({}, {word})", socket.as_raw_fd());
        self.begin(name, "shutdown", call).returned(net::shutdown(&socket, half).map(|()| 0));
        Ok(())
    }

    fn close(&self, name: &str) -> Result<(), String> {
        let socket = self.sockets.take(name)?;
        self.tick.wait();
        let begun = self.begin(name, "close", close_call(&socket));
        begun.returned(close_now(socket));
        Ok(())
    }

    fn reset(&self, name: &str) -> Result<(), String> {
        let socket = self.sockets.get(name)?;
        let call = format!("setsockopt({}, SO_LINGER, 0 s)", socket.as_raw_fd());
        let linger = || sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO));
        self.must(name, "setsockopt", &call, linger, |()| 0)?;
        drop(socket);
        self.close(name)
    }

    fn exit(&self, name: &str) -> Result<(), String> {
        drop(self.begin(name, "exit", "exit_group(0)".to_owned()).reported());
        process::exit(0)
    }
}

fn close_call(socket: &OwnedFd) -> String {
    format!("close({})", socket.as_raw_fd())
}

fn close_now(socket: OwnedFd) -> Result<i64, Errno> {
    close(socket).map(|()| 0).map_err(|error| to_errno(&error.into()))
}

fn to_errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Letters of the alphabet, repeated.
fn data(bytes: u32) -> Result<Vec<u8>, String> {
    let length = usize::try_from(bytes).map_err(|error| error.to_string())?;
    Ok((b'a'..=b'z').cycle().take(length).collect())
}

/// Receives this many bytes, or all until the end of data; returns how many came. An error counts only before the first
/// byte.
fn receive(socket: &OwnedFd, bytes: Option<u32>) -> Result<u64, Errno> {
    let mut piece = vec![0; PIECE];
    let wanted = bytes.map_or(u64::MAX, u64::from);
    let mut got = 0;
    while got < wanted {
        let left = usize::try_from(wanted - got).unwrap_or(usize::MAX).min(PIECE);
        let room = piece.get_mut(..left).unwrap_or_default();
        match net::recv(socket, room, RecvFlags::empty()) {
            Ok((_, 0)) => break,
            Ok((_, more)) => got += u64::try_from(more).unwrap_or(u64::MAX),
            Err(_) if got > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
