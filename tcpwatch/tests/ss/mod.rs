//! The output of `ss` of iproute2 about the sockets of a network namespace: a witness that shares no code with
//! tcpwatch's own reader of `sock_diag`.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

/// One line of `ss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// In tcpwatch's spelling.
    pub(crate) state: String,
    pub(crate) local: SocketAddr,
    /// The peer; `None` for a listener.
    pub(crate) remote: SocketAddr,
    /// The number after `sk:`.
    pub(crate) cookie: u64,
    /// The kind of its timer and the remaining time, if it has one; `ss` truncates that to seconds above nine.
    pub(crate) timer: Option<(String, Duration)>,
}

/// All TCP sockets of the calling thread's network namespace.
pub(crate) fn look() -> Vec<Socket> {
    let output = Command::new("ss").arg("-HOtanoe").stdin(Stdio::null()).output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs `ss`: install the package iproute2 (iproute on Fedora)")
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| parsed(line).unwrap_or_else(|| panic!("ss says {line:?}"))).collect()
}

fn parsed(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace();
    let state = words.next()?;
    // Bytes in both queues.
    let _queues = [words.next()?, words.next()?];
    let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
    let rest: Vec<_> = words.collect();
    let cookie = rest.iter().find_map(|word| word.strip_prefix("sk:"))?;
    let timer = rest.iter().find_map(|word| word.strip_prefix("timer:("));
    Some(Socket {
        state: if state == "ESTAB" { "ESTABLISHED".to_owned() } else { state.replace('-', "_") },
        local,
        remote,
        cookie: u64::from_str_radix(cookie, 16).ok()?,
        timer: match timer {
            Some(timer) => Some(self::timer(timer.strip_suffix(')')?)?),
            None => None,
        },
    })
}

/// `127.0.0.1:80`, `[::1]:80`, `0.0.0.0:*`, `[fe80::1]%eth0:80`.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.split('%').next()?.trim_matches(['[', ']']);
    let address = match address {
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address.parse::<IpAddr>().ok()?.to_canonical(),
    };
    let port = if port == "*" { 0 } else { port.parse().ok()? };
    Some(SocketAddr::new(address, port))
}

/// `timewait,59sec,0`: kind, time left, retransmissions.
fn timer(text: &str) -> Option<(String, Duration)> {
    let mut parts = text.split(',');
    Some((parts.next()?.to_owned(), left(parts.next()?)?))
}

/// `1min59sec`, `59sec`, `5.123ms` for 5.123 s, `200ms` (`print_ms_timer` in `misc/ss.c`).
fn left(text: &str) -> Option<Duration> {
    let (minutes, rest) = text.split_once("min").unwrap_or(("0", text));
    let minutes = Duration::from_mins(minutes.parse().ok()?);
    let (seconds, milliseconds) = match (rest.strip_suffix("sec"), rest.strip_suffix("ms")) {
        (Some(seconds), _) => (seconds, "0"),
        (None, Some(rest)) => rest.split_once('.').unwrap_or(("0", rest)),
        (None, None) if rest.is_empty() => ("0", "0"),
        (None, None) => return None,
    };
    let milliseconds = Duration::from_millis(milliseconds.parse().ok()?);
    Some(minutes + Duration::from_secs(seconds.parse().ok()?) + milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whole() {
        let line = "TIME-WAIT 0 0 [::ffff:127.0.0.1]:37260 127.0.0.1:36951 \
                    timer:(timewait,59sec,0) ino:0 sk:2b2d5";
        let socket = parsed(line).unwrap();
        assert_eq!(socket.state, "TIME_WAIT");
        assert_eq!(socket.local, "127.0.0.1:37260".parse().unwrap());
        assert_eq!(socket.cookie, 0x2_b2d5);
        assert_eq!(socket.timer, Some(("timewait".to_owned(), Duration::from_secs(59))));
        let listener =
            parsed("LISTEN 0 128 [::]:22 [::]:* ino:4 sk:1 cgroup:/ v6only:1 <->").unwrap();
        assert_eq!((listener.local.port(), listener.remote.port()), (22, 0));
        assert_eq!(parsed("LISTEN 0 128"), None);
    }

    #[test]
    fn times_are_read_as_ss_writes_them() {
        for (text, milliseconds) in [
            ("1min59sec", 119_000),
            ("12min", 720_000),
            ("59sec", 59_000),
            ("5.123ms", 5123),
            ("200ms", 200),
        ] {
            assert_eq!(left(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(left("soon"), None);
    }
}
