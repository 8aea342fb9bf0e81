//! A way into another network namespace, for a while and for one thread.

use std::{io, os::fd::AsFd, thread};

use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// A namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Everything that led there is gone.
    #[error("the process or mount that held it has gone")]
    Gone,
    /// The way cannot be opened.
    #[error("cannot open it: {0}")]
    Open(#[source] io::Error),
    /// `setns` was refused.
    #[error("setns refused: {0}; entering a network namespace takes CAP_SYS_ADMIN (root)")]
    Refused(#[source] io::Error),
    /// The file is no network namespace.
    #[error("it is no network namespace")]
    NoNetwork,
    /// The thread that should go there did not start or did not come back.
    #[error("the thread for it failed: {0}")]
    Thread(#[source] io::Error),
}

/// Does `work` in a new thread that has entered the network namespace `netns`, and ends it. The calling
/// thread stays where it is.
pub fn enter<T: Send>(netns: &impl AsFd, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
    let netns = netns.as_fd();
    let go = || match move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)) {
        Ok(()) => Ok(work()),
        Err(Errno::INVAL) => Err(EnterError::NoNetwork),
        Err(error) => Err(EnterError::Refused(error.into())),
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, go);
        let back = thread.map_err(EnterError::Thread)?.join();
        back.unwrap_or_else(|_| Err(EnterError::Thread(io::Error::other("it panicked"))))
    })
}
