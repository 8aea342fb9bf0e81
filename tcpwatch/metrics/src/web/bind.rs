//! Opens the listening socket, or explains why it cannot.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;
use rustix::net::sockopt::set_socket_send_buffer_size;

/// The accept queue; the kernel takes `net.core.somaxconn` if that is less (`__sys_listen`, net/socket.c).
const BACKLOG: i32 = 4096;

/// The send buffer of a connection. Every accepted socket inherits it; by default the kernel would hold up to
/// `net.ipv4.tcp_wmem`, 4 MB, for each.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is in use.
    #[error(
        "cannot listen on {address}: it is in use; `ss -ltnp sport = :{port}` shows by whom; stop \
         that, or choose another address with --web.listen-address",
        port = address.port()
    )]
    Busy {
        /// The address that was tried.
        address: SocketAddr,
    },
    /// No interface has the address.
    #[error(
        "cannot listen on {address}: no interface here has this address; `ip address` shows those \
         there are; --web.listen-address takes one of them, or 0.0.0.0 or [::] for all"
    )]
    NotLocal {
        /// The address that was tried.
        address: SocketAddr,
    },
    /// The port needs a privilege.
    #[error(
        "cannot listen on {address}: a port this low needs CAP_NET_BIND_SERVICE; choose a port from \
         `sysctl net.ipv4.ip_unprivileged_port_start` on with --web.listen-address"
    )]
    Privileged {
        /// The address that was tried.
        address: SocketAddr,
    },
    /// No socket was passed.
    #[error(
        "no listening TCP socket was passed to this process (LISTEN_FDS); --web.systemd-socket is for a service that \
         a .socket unit of systemd starts"
    )]
    NothingPassed,
    /// What was passed is no listening TCP socket.
    #[error(
        "cannot use the sockets that were passed by systemd: {0}; they have to be listening TCP sockets"
    )]
    Passed(#[source] io::Error),
    /// Any other error.
    #[error(
        "cannot listen on {address}: {source}; choose another address with --web.listen-address"
    )]
    Other {
        /// The address that was tried.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The listening sockets that systemd passed.
pub(super) fn passed() -> Result<Vec<TcpListener>, BindError> {
    let mut passed = ListenFd::from_env();
    let listeners =
        (0..passed.len()).filter_map(|index| passed.take_tcp_listener(index).transpose());
    let listeners: Vec<_> = listeners.collect::<io::Result<_>>().map_err(BindError::Passed)?;
    for listener in &listeners {
        let ready = listener
            .set_nonblocking(true)
            .and_then(|()| Ok(set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?));
        ready.map_err(BindError::Passed)?;
    }
    if listeners.is_empty() { Err(BindError::NothingPassed) } else { Ok(listeners) }
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)?;
        // Once more, for a longer queue than that of the standard library.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    };
    listen().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address },
        io::ErrorKind::PermissionDenied => BindError::Privileged { address },
        _ => BindError::Other { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named_with_its_port_and_a_way_out() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: it is in use")), "{error}");
        assert!(error.contains(&format!("sport = :{}", address.port())), "{error}");
        assert!(error.contains("--web.listen-address"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_not_local() {
        // TEST-NET-1 of RFC 5737.
        let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::NotLocal { .. }), "{error}");
    }

    #[test]
    fn a_listener_has_a_queue_longer_than_the_standard_librarys() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let wanted = 300.min(somaxconn.trim().parse().unwrap());
        let clients = (0..wanted)
            .map(|_| {
                std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(30))
            })
            .collect::<Result<Vec<_>, _>>();
        assert_eq!(clients.unwrap().len(), wanted);
    }
}
