//! The threads of this process, as the kernel lists them.

use std::{fs, io, thread, time::Duration};

use crate::SandboxError;

const TASKS: &str = "/proc/self/task";

/// A thread that was joined leaves the list a moment later (`release_task`, kernel/exit.c).
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

fn unreadable(path: &str) -> impl FnOnce(io::Error) -> SandboxError {
    let path = path.to_owned();
    move |source| SandboxError::Unreadable { path, source }
}

/// The numbers of all threads.
fn list() -> Result<Vec<String>, SandboxError> {
    let entries = fs::read_dir(TASKS).map_err(unreadable(TASKS))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.collect())
}

/// Is the calling thread the only one? Waits for those that are ending.
pub(crate) fn demand_single() -> Result<(), SandboxError> {
    for _ in 0..TRIES {
        if list()?.len() == 1 {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    let name = |thread: String| fs::read_to_string(format!("{TASKS}/{thread}/comm")).ok();
    let names = list()?.into_iter().filter_map(name).map(|name| name.trim_end().to_owned());
    Err(SandboxError::Threads { names: names.collect() })
}

/// `status` of every thread, with its number; one that has ended is left out.
pub(crate) fn statuses() -> Result<Vec<(String, String)>, SandboxError> {
    let read = |thread: String| {
        let path = format!("{TASKS}/{thread}/status");
        match fs::read_to_string(&path) {
            Ok(status) => Some(Ok((thread, status))),
            Err(error) if is_gone(&error) => None,
            Err(error) => Some(Err(unreadable(&path)(error))),
        }
    };
    list()?.into_iter().filter_map(read).collect()
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// `status` of the calling thread.
pub(crate) fn own_status() -> Result<String, SandboxError> {
    const OWN: &str = "/proc/thread-self/status";
    fs::read_to_string(OWN).map_err(unreadable(OWN))
}
