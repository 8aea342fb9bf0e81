//! Says to systemd that the service is ready (`sd_notify(3)`).

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
};

/// The way to whoever waits for it; opened before privileges are given up, which forbids to open any.
pub(crate) struct Notify(Option<UnixDatagram>);

impl Notify {
    /// By the environment, as `Type=notify` of systemd.service(5) sets it.
    pub(crate) fn open() -> io::Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(Self(None)) };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(Path::new(&name))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(Some(socket)))
    }

    /// From now on it serves.
    pub(crate) fn ready(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |socket| socket.send(b"READY=1\n").map(drop))
    }
}
