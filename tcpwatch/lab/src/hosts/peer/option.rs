//! Options of sockets by name, for `setsockopt()`.

use std::{io, os::fd::BorrowedFd};

use tcpwatch_kernel::trial::option;

/// An option whose value is an `int`.
pub(super) struct SocketOption {
    /// As in `socket(7)` and `tcp(7)`.
    pub(super) name: &'static str,
    level: i32,
    number: i32,
}

const fn socket(name: &'static str, number: i32) -> SocketOption {
    SocketOption { name, level: libc::SOL_SOCKET, number }
}

const fn tcp(name: &'static str, number: i32) -> SocketOption {
    SocketOption { name, level: libc::IPPROTO_TCP, number }
}

const OPTIONS: [SocketOption; 21] = [
    socket("SO_KEEPALIVE", libc::SO_KEEPALIVE),
    socket("SO_RCVBUF", libc::SO_RCVBUF),
    socket("SO_REUSEADDR", libc::SO_REUSEADDR),
    socket("SO_REUSEPORT", libc::SO_REUSEPORT),
    socket("SO_SNDBUF", libc::SO_SNDBUF),
    tcp("TCP_CORK", libc::TCP_CORK),
    tcp("TCP_DEFER_ACCEPT", libc::TCP_DEFER_ACCEPT),
    tcp("TCP_FASTOPEN", libc::TCP_FASTOPEN),
    tcp("TCP_FASTOPEN_CONNECT", libc::TCP_FASTOPEN_CONNECT),
    tcp("TCP_FASTOPEN_NO_COOKIE", 34),
    tcp("TCP_KEEPCNT", libc::TCP_KEEPCNT),
    tcp("TCP_KEEPIDLE", libc::TCP_KEEPIDLE),
    tcp("TCP_KEEPINTVL", libc::TCP_KEEPINTVL),
    tcp("TCP_LINGER2", libc::TCP_LINGER2),
    tcp("TCP_MAXSEG", libc::TCP_MAXSEG),
    tcp("TCP_NODELAY", libc::TCP_NODELAY),
    tcp("TCP_QUICKACK", libc::TCP_QUICKACK),
    tcp("TCP_RTO_MAX_MS", 44),
    tcp("TCP_SYNCNT", libc::TCP_SYNCNT),
    tcp("TCP_USER_TIMEOUT", libc::TCP_USER_TIMEOUT),
    tcp("TCP_WINDOW_CLAMP", libc::TCP_WINDOW_CLAMP),
];

impl SocketOption {
    /// By its name without prefix, in lower case: `keepalive`.
    pub(super) fn named(word: &str) -> Result<&'static Self, String> {
        OPTIONS.iter().find(|option| option.word() == word).ok_or_else(|| {
            let words: Vec<_> = OPTIONS.iter().map(Self::word).collect();
            format!("there is no socket option `{word}`; there are {}", words.join(", "))
        })
    }

    fn word(&self) -> String {
        let (_, word) = self.name.split_once('_').unwrap_or_default();
        word.to_lowercase()
    }

    pub(super) fn set(&self, socket: BorrowedFd<'_>, value: i32) -> io::Result<()> {
        option::set(socket, self.level, self.number, value)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd as _};

    use super::*;

    #[test]
    fn an_option_is_found_by_its_word_and_reaches_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let is_set = || socket2::SockRef::from(&listener).keepalive().unwrap();
        assert!(!is_set());
        SocketOption::named("keepalive").unwrap().set(listener.as_fd(), 1).unwrap();
        assert!(is_set());
    }

    #[test]
    fn an_option_that_does_not_exist_is_told_with_those_that_do() {
        let why = SocketOption::named("keepalives").err().unwrap();
        assert!(why.contains("`keepalives`") && why.contains("keepalive, "), "{why}");
    }
}
