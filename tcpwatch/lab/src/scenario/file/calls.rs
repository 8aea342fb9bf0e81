//! Parses a step of a host's process: which system calls, on which socket.

use super::{
    fields::{TomlFields, TomlItem},
    source::FileError,
};
use crate::scenario::{Call, CallKind, Shutdown};

/// The default port: that of the recipes by hand.
const PORT: u16 = 11_111;
/// The default backlog. With a small one, the kernel answers with SYN cookies as soon as some connections are
/// half-open.
const BACKLOG: u32 = 16;
/// The default name of a listening socket.
pub(super) const LISTENER: &str = "listener";
/// The default name of every other socket.
pub(super) const CONNECTION: &str = "connection";

/// The calls that a step can name.
const NAMES: [&str; 13] = [
    "socket",
    "set_option",
    "bind",
    "listen",
    "connect",
    "fast_open",
    "accept",
    "send",
    "recv",
    "shutdown",
    "close",
    "reset",
    "exit",
];

/// The corresponding system calls, as strace names them.
pub(super) const SYSTEM_CALLS: [&str; 11] = [
    "socket",
    "setsockopt",
    "bind",
    "listen",
    "connect",
    "accept",
    "send",
    "sendto",
    "recv",
    "shutdown",
    "close",
];

pub(super) fn call(item: &TomlItem<'_>, fields: &mut TomlFields<'_>) -> Result<Call, FileError> {
    let usual = if item.text()? == "listen" { LISTENER } else { CONNECTION };
    let socket = fields.name("socket", usual)?;
    let known = NAMES.into_iter().chain(["stop", "continue", "kill"]);
    let kind = match item.word(known.map(|name| (name, name)))? {
        "socket" => CallKind::Socket,
        "set_option" => {
            let name = fields.need("option", "name it, for example \"keepalive\"")?;
            let value = fields.need("value", "give its value, for example 1")?;
            CallKind::SetOption {
                name: name.text()?.to_owned(),
                value: value.number(i64::from(i32::MIN)..1 << 31)?,
            }
        }
        "bind" => CallKind::Bind { port: port(fields)? },
        "listen" => CallKind::Listen {
            port: port(fields)?,
            backlog: fields.number("backlog", 0..65_536)?.unwrap_or(BACKLOG),
        },
        "connect" => {
            let port = port(fields)?;
            let together = fields.take("together").map_or(Ok(false), |item| item.boolean())?;
            if together { CallKind::ConnectTogether { port } } else { CallKind::Connect { port } }
        }
        "fast_open" => CallKind::FastOpen { port: port(fields)?, bytes: bytes(fields)? },
        "accept" => CallKind::Accept { listener: fields.name("listener", LISTENER)? },
        "send" => CallKind::Send { bytes: bytes(fields)? },
        "recv" => {
            let bytes = fields.number("bytes", 1..1 << 31)?;
            match fields.take("then") {
                None => CallKind::Recv { bytes },
                Some(item) => item.word([("close", CallKind::RecvThenClose { bytes })])?,
            }
        }
        "shutdown" => {
            let how = fields.take("how").map(|item| {
                let words = [
                    ("read", Shutdown::Read),
                    ("write", Shutdown::Write),
                    ("both", Shutdown::Both),
                ];
                item.word(words)
            });
            CallKind::Shutdown(how.transpose()?.unwrap_or(Shutdown::Write))
        }
        "close" => CallKind::Close,
        "reset" => CallKind::Reset,
        _ => CallKind::Exit,
    };
    Ok(Call { socket, kind })
}

fn port(fields: &mut TomlFields<'_>) -> Result<u16, FileError> {
    Ok(fields.number("port", 1..65_536)?.unwrap_or(PORT))
}

fn bytes(fields: &mut TomlFields<'_>) -> Result<u32, FileError> {
    Ok(fields.number("bytes", 1..1 << 31)?.unwrap_or(1))
}
