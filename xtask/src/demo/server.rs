//! A server that answers every connection and closes it in the order that the client asks for.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

/// How long each side stays in a state, so that its duration can be read in the log.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// The name of every thread that owns a server's socket; the kernel shows it as `comm`.
const THREAD: &str = "demo-server";
/// The server's answer to every request.
pub(crate) const ANSWER: &str = "hello from the demo\n";

/// The side that closes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Client,
    Server,
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the client closes first",
            Self::Server => "the server closes first",
        })
    }
}

/// Binds the address, which reserves it; nothing listens yet.
///
/// Old connections of an earlier demo may still be in `TIME_WAIT`: `SO_REUSEADDR` allows them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens in a thread of its own, so that the log shows that thread's name as the listener's; the thread ends with the
/// process.
pub(crate) fn start(socket: Socket) -> Result<()> {
    let (sender, listening) = mpsc::channel();
    let listen_and_accept = move || {
        let listened = socket.listen(16);
        let is_listening = listened.is_ok();
        drop(sender.send(listened));
        if is_listening {
            accept(&socket.into());
        }
    };
    thread::Builder::new()
        .name(THREAD.into())
        .spawn(listen_and_accept)
        .context("cannot start a thread for the demo's server")?;
    listening.recv().context("the demo's server ended early")?.context("cannot listen")
}

fn accept(listener: &TcpListener) {
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(serve_in_thread) {
            eprintln!("demo: the server cannot accept a connection: {error}");
        }
    }
}

fn serve_in_thread(stream: TcpStream) -> io::Result<()> {
    let serve = move || {
        if let Err(error) = serve(stream) {
            eprintln!("demo: a connection of the server ended early: {error}");
        }
    };
    thread::Builder::new().name(THREAD.into()).spawn(serve).map(drop)
}

/// Answers one line and closes. A client with another request than the demo's (`nc`, a browser) also gets the answer,
/// and closes when it chooses.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut request = String::new();
    BufReader::new((&stream).take(1024)).read_line(&mut request)?;
    stream.write_all(ANSWER.as_bytes())?;
    if request.trim_end() == First::Server.to_string() {
        thread::sleep(PAUSE);
        stream.shutdown(Shutdown::Write)?;
        io::copy(&mut stream, &mut io::sink())?;
    } else {
        io::copy(&mut stream, &mut io::sink())?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
