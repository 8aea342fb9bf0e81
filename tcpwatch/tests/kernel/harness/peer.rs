//! A separate process that owns sockets and executes commands: this test program, started again.

use std::{
    env,
    ffi::CString,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use super::netns::Netns;

const NAME: &str = "TCPWATCH_PEER";
const SCRIPT: &str = "harness::peer::a_peer_does_as_it_is_told";
/// The text that the parent searches in the output of the test runner.
const ANSWER: &str = "answer> ";

/// Another process, with at most one listener and one connection.
pub(crate) struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it inside `netns`; `name` becomes the name of its task.
    pub(crate) fn start(netns: &Netns, name: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", SCRIPT, "--ignored", "--nocapture", "--test-threads=1"])
            .env(NAME, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = netns.inside(move || command.spawn().unwrap());
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn listen(&mut self, address: &str) -> SocketAddr {
        self.tell(&format!("listen {address}")).parse().unwrap()
    }

    /// Connects; returns the client's address.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> SocketAddr {
        self.tell(&format!("connect {to}")).parse().unwrap()
    }

    /// Accepts; returns the client's address.
    pub(crate) fn accept(&mut self) -> SocketAddr {
        self.tell("accept").parse().unwrap()
    }

    /// Waits for the peer's FIN.
    pub(crate) fn await_fin(&mut self) {
        assert_eq!(self.tell("fin"), "", "end of data");
    }

    /// Closes the connection.
    pub(crate) fn close(&mut self) {
        assert_eq!(self.tell("close"), "", "done");
    }

    /// Closes the listener.
    pub(crate) fn stop_listening(&mut self) {
        assert_eq!(self.tell("deaf"), "", "done");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends the process: the kernel closes its sockets.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn tell(&mut self, order: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "the peer ended at `{order}`");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim().to_owned();
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

#[derive(Default)]
struct Sockets {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
}

impl Sockets {
    fn obey(&mut self, order: &str) -> String {
        let (verb, object) = order.split_once(' ').unwrap_or((order, ""));
        match verb {
            "listen" => {
                let (address, shared) = object.split_once(' ').unwrap_or((object, ""));
                let listener = listen(address.parse().unwrap(), shared == "shared");
                let address = listener.local_addr().unwrap();
                self.listener = Some(listener);
                address.to_string()
            }
            "connect" => {
                let stream = TcpStream::connect(object).unwrap();
                let address = stream.local_addr().unwrap();
                self.stream = Some(stream);
                address.to_string()
            }
            "accept" => {
                let (stream, from) = self.listener.as_ref().unwrap().accept().unwrap();
                self.stream = Some(stream);
                from.to_string()
            }
            "fin" => {
                assert_eq!(self.stream.as_mut().unwrap().read(&mut [0]).unwrap(), 0, "a FIN");
                String::new()
            }
            "close" => {
                self.stream = None;
                String::new()
            }
            "deaf" => {
                self.listener = None;
                String::new()
            }
            _ => panic!("no such order: {order}"),
        }
    }
}

/// A listener; with a shared port, others can listen there, too.
pub(crate) fn listen(at: SocketAddr, shares: bool) -> TcpListener {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(shares).unwrap();
    socket.bind(&at.into()).unwrap();
    socket.listen(128).unwrap();
    socket.into()
}

#[test]
#[ignore = "runs in the child processes of other tests"]
fn a_peer_does_as_it_is_told() {
    let Some(name) = env::var_os(NAME) else { return };
    // The process has the name of its first thread, which is not the one that runs a test.
    fs::write("/proc/self/comm", name.as_encoded_bytes()).unwrap();
    let name = CString::new(name.into_encoded_bytes()).unwrap();
    rustix::thread::set_name(&name).unwrap();
    let mut sockets = Sockets::default();
    for order in std::io::stdin().lines() {
        let answer = sockets.obey(&order.unwrap());
        println!("{ANSWER}{answer}");
    }
}
