//! Work in a thread beside the run.

use std::{io, thread};

use tokio::sync::oneshot;

/// Does `work` in a new thread called `name`. The receiver yields what `work` returns; an error if it panics. It may be
/// dropped before that. Not `spawn_blocking`: the runtime panics if it cannot start a thread.
///
/// # Errors
/// If no thread can be started, as where `ulimit -u` or pids.max of the cgroup is reached.
pub fn beside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (give, given) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || drop(give.send(work())))?;
    Ok(given)
}
