//! The scenes of the demo, played from the client's side.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::server::{ANSWER, First, PAUSE};

/// A server on this machine answers at once; exceeding this is a failure.
const DEADLINE: Duration = Duration::from_secs(5);

/// One kind of connection that the demo shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// A whole connection, closed by one side after the other.
    Life { server: SocketAddr, first: First },
    /// A connection to an address without a listener.
    Refused { closed: SocketAddr },
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life { server, first } => write!(f, "to {server}, {first}"),
            Self::Refused { closed } => write!(f, "to {closed}, which has no listener"),
        }
    }
}

impl Scene {
    /// Plays the scene; takes about half a second.
    pub(crate) fn play(self) -> Result<()> {
        match self {
            Self::Life { server, first } => live(server, first),
            Self::Refused { closed } => match TcpStream::connect_timeout(&closed, DEADLINE) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                Err(error) => Err(error).context("the connection was not refused"),
                Ok(_) => bail!("there is a listener"),
            },
        }
    }
}

fn live(server: SocketAddr, first: First) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, DEADLINE).context("cannot connect")?;
    stream.set_read_timeout(Some(DEADLINE)).context("cannot set a timeout")?;
    writeln!(stream, "{first}").context("cannot send")?;
    let mut answers = BufReader::new(stream);
    let mut answer = String::new();
    answers.read_line(&mut answer).context("no answer")?;
    if answer != ANSWER {
        bail!("another server answered: {answer:?}");
    }
    if first == First::Client {
        thread::sleep(PAUSE);
        answers.get_ref().shutdown(Shutdown::Write).context("cannot close the client's side")?;
    }
    let rest = answers.read_to_end(&mut Vec::new()).context("the server does not close")?;
    if rest > 0 {
        bail!("{rest} bytes after the answer");
    }
    if first == First::Server {
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server;

    fn running_server(address: &str) -> io::Result<SocketAddr> {
        let socket = server::bind(address.parse().expect("an address"))?;
        let address = socket.local_addr()?.as_socket().expect("an IP address");
        server::start(socket).expect("the server starts");
        Ok(address)
    }

    #[test]
    fn both_orders_of_closing_are_lived_through() {
        let server = running_server("127.0.0.1:0").expect("IPv4 loopback");
        for first in [First::Client, First::Server] {
            Scene::Life { server, first }.play().expect("a whole life");
        }
    }

    #[test]
    fn an_address_where_nobody_listens_refuses() {
        let server = running_server("127.0.0.1:0").expect("IPv4 loopback");
        let closed = SocketAddr::from(([127, 0, 0, 2], server.port()));
        Scene::Refused { closed }.play().expect("refused");
        let error = Scene::Refused { closed: server }.play().expect_err("the server listens");
        assert_eq!(error.to_string(), "there is a listener", "a scene that went wrong");
    }

    #[test]
    fn another_server_at_the_address_is_noticed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("IPv4 loopback");
        let server = listener.local_addr().expect("its address");
        let stranger = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("our client");
            stream.write_all(b"220 mail\n").expect("sent");
            stream
        });
        let error = Scene::Life { server, first: First::Client }.play().expect_err("not ours");
        assert!(error.to_string().contains("220 mail"), "{error:#}");
        drop(stranger.join().expect("the other server"));
    }
}
