//! Who owns a socket, and how we know.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use std::fmt;

/// How the owner is known, from the weakest way to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Via {
    /// It called `listen()` on the socket; or, a guess, on the listener that accepted the socket.
    Listen,
    /// It called `connect()` on the socket.
    Connect,
    /// It has the socket in its table of open files, as `/proc` shows.
    #[serde(alias = "Procfs")]
    Fd,
    /// It received data from the socket, or sent data through it.
    Io,
    /// It called `close()` or `shutdown()` on the socket, or ended with it.
    Close,
}

impl Via {
    /// The word used in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Connect => "connect",
            Self::Fd => "fd",
            Self::Io => "io",
            Self::Close => "close",
        }
    }
}

/// A process's name as the kernel keeps it (`comm`): at most 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Comm([u8; 16]);

impl Comm {
    /// From the kernel's zero-padded bytes, of which the last is always zero.
    #[must_use]
    pub const fn from_kernel(mut bytes: [u8; 16]) -> Self {
        bytes[15] = 0;
        Self(bytes)
    }

    /// From text, cut to 15 bytes as the kernel does.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().take(15).zip(text.bytes()) {
            *to = from;
        }
        Self(bytes)
    }

    /// Printable ASCII only.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))
    }

    /// The bytes before the first zero.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl From<Comm> for String {
    fn from(comm: Comm) -> Self {
        Self::from_utf8_lossy(comm.as_bytes()).into_owned()
    }
}

impl From<String> for Comm {
    fn from(text: String) -> Self {
        Self::from_text(&text)
    }
}

impl fmt::Display for Comm {
    /// Bytes that are not UTF-8 become U+FFFD, control characters become `?`: the name is the
    /// process's own choice and must not reach a terminal raw.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain() {
            return f.pad(std::str::from_utf8(self.as_bytes()).unwrap_or_default());
        }
        let text = String::from_utf8_lossy(self.as_bytes());
        let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        f.pad(&clean)
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The process that owns a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process (thread group) id in the pid namespace that tcpwatch runs in; `None` for a process outside of
    /// it.
    #[serde(deserialize_with = "of_a_process")]
    pub pid: Option<u32>,
    /// Its name: that of its first thread.
    pub comm: Comm,
    /// Name of the thread that was seen, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Comm>,
    /// Its real user id, in the initial user namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// How it became known.
    pub via: Via,
}

impl Process {
    /// A process of which nothing but number and name is known.
    #[must_use]
    pub const fn named(pid: u32, comm: Comm, via: Via) -> Self {
        Self { pid: Some(pid), comm, thread: None, uid: None, via }
    }

    /// Is this the name of the process, or of its thread that was seen?
    #[must_use]
    pub fn is_called(&self, name: &[u8]) -> bool {
        self.comm.as_bytes() == name || self.thread.is_some_and(|thread| thread.as_bytes() == name)
    }
}

/// A number that is not that of the kernel's own idle task.
fn of_a_process<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(0) => Err(D::Error::custom("0 is no process")),
        pid => Ok(pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_smuggle_control_characters_into_a_terminal() {
        assert_eq!(Comm::from_text("a\u{1b}[31mb").to_string(), "a?[31mb");
    }

    #[test]
    fn a_name_is_cut_as_the_kernel_cuts_it() {
        assert_eq!(Comm::from_text("a-name-of-twenty-chr").to_string(), "a-name-of-twent");
    }
}
