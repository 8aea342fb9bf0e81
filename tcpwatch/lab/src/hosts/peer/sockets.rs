//! The sockets of a host's process, by their names in the scenario.

use std::{
    collections::HashMap,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::net::sockopt::socket_cookie;

/// A socket: shared with the system calls that are in progress on it.
pub(super) type Shared = Arc<OwnedFd>;

/// A socket, and whether it is bound.
struct PeerSocket {
    socket: Shared,
    is_bound: bool,
}

/// All sockets of the process.
#[derive(Clone, Default)]
pub(super) struct NamedSockets(Arc<Mutex<HashMap<String, PeerSocket>>>);

impl NamedSockets {
    fn all(&self) -> MutexGuard<'_, HashMap<String, PeerSocket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if the name is taken.
    pub(super) fn must_be_new(&self, name: &str) -> Result<(), String> {
        match self.all().get(name) {
            None => Ok(()),
            Some(known) => {
                Err(format!("there is a socket `{name}` already, {}", known.socket.as_raw_fd()))
            }
        }
    }

    /// Adds a new socket. Its cookie is requested, because only a socket that has one passes it on to the mini-socket
    /// that replaces it (`sock_gen_cookie`, `net/core/sock_diag.c`).
    pub(super) fn add(&self, name: &str, socket: OwnedFd) -> Shared {
        let _cookie = socket_cookie(&socket).ok();
        let socket = Arc::new(socket);
        let known = PeerSocket { socket: Arc::clone(&socket), is_bound: false };
        self.all().insert(name.to_owned(), known);
        socket
    }

    pub(super) fn get(&self, name: &str) -> Result<Shared, String> {
        let all = self.all();
        let known = all.get(name).ok_or_else(|| no_such(&all, name))?;
        Ok(Arc::clone(&known.socket))
    }

    pub(super) fn find(&self, name: &str) -> Option<(Shared, bool)> {
        let all = self.all();
        all.get(name).map(|known| (Arc::clone(&known.socket), known.is_bound))
    }

    pub(super) fn set_bound(&self, name: &str) {
        if let Some(known) = self.all().get_mut(name) {
            known.is_bound = true;
        }
    }

    /// Removes a socket, to close it.
    ///
    /// While a system call on it is in progress in another thread, `close` releases only the number and sends nothing
    /// to the peer (`__fput` comes with the last reference): no scenario means that.
    pub(super) fn take(&self, name: &str) -> Result<OwnedFd, String> {
        let mut all = self.all();
        let Some(known) = all.remove(name) else { return Err(no_such(&all, name)) };
        Arc::try_unwrap(known.socket).map_err(|socket| {
            let number = socket.as_raw_fd();
            all.insert(name.to_owned(), PeerSocket { socket, ..known });
            format!(
                "a system call on socket `{name}` ({number}) has not returned yet, and close() \
                 would do nothing before it has; wait until it returns, or shut the socket down, \
                 or kill the process"
            )
        })
    }
}

fn no_such(all: &HashMap<String, PeerSocket>, name: &str) -> String {
    let mut names: Vec<_> = all.keys().map(|name| format!("`{name}`")).collect();
    names.sort_unstable();
    if names.is_empty() {
        return format!("there is no socket `{name}`; its process has none");
    }
    format!("there is no socket `{name}`; its process has {}", names.join(", "))
}
