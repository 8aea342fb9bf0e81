//! A bound socket comes in; every connection to it is answered and closed in the order that the
//! client asks for.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

/// How long a side holds a state, so that its duration can be read in the log.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// The name of every thread that owns a server's socket; the kernel shows it as `comm`.
const THREAD: &str = "demo-server";
/// What the server answers, whatever it is asked.
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

/// Takes the address, so that nobody else gets it; nothing listens yet.
///
/// Old connections of an earlier demo may still be in `TIME_WAIT`: `SO_REUSEADDR` allows them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens in a thread of its own, which ends with the process.
pub(crate) fn start(socket: Socket) -> Result<()> {
    // In this thread, so that an error can be told; the new thread only accepts.
    socket.listen(16).context("cannot listen")?;
    let listener = TcpListener::from(socket);
    let accept = move || {
        for stream in listener.incoming() {
            match stream.and_then(serve_in_thread) {
                Ok(()) => {}
                Err(error) => eprintln!("demo: the server cannot take a connection: {error}"),
            }
        }
    };
    thread::Builder::new().name(THREAD.into()).spawn(accept).context("cannot start a thread")?;
    Ok(())
}

fn serve_in_thread(stream: TcpStream) -> io::Result<()> {
    let serve = move || {
        if let Err(error) = serve(stream) {
            eprintln!("demo: a connection of the server ended early: {error}");
        }
    };
    thread::Builder::new().name(THREAD.into()).spawn(serve).map(drop)
}

/// Answers one line and closes. Whoever comes with another request than ours (`nc`, a browser)
/// is answered, too, and closes when it likes.
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
