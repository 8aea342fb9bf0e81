//! System calls that may take long: each has a thread of its own, and the order is done when the
//! call has returned or sleeps in the kernel. So a call that comes next comes after it for certain.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use rustix::thread::gettid;

/// Runs `work` in a thread until it has returned, or sleeps in one of these system calls.
pub(super) fn begin(
    numbers: &'static [libc::c_long],
    work: impl FnOnce() + Send + 'static,
) -> Result<(), String> {
    let has_returned = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let run = {
        let has_returned = Arc::clone(&has_returned);
        move || {
            let heard = tell.send(gettid().as_raw_nonzero());
            if heard.is_ok() {
                work();
            }
            has_returned.store(true, Ordering::Release);
        }
    };
    let failed = |error: io::Error| format!("its process cannot start a thread: {error}");
    thread::Builder::new().name("call".to_owned()).spawn(run).map_err(failed)?;
    let Ok(thread) = told.recv() else { return Ok(()) };
    let syscall = format!("/proc/self/task/{thread}/syscall");
    while !has_returned.load(Ordering::Acquire) {
        // `running`, or the number of the system call that it sleeps in (proc(5)). A kernel without
        // this file, or one that hides it, does not tell.
        let Ok(text) = fs::read_to_string(&syscall) else { break };
        let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
        if number.is_some_and(|number| numbers.contains(&number)) {
            break;
        }
        thread::yield_now();
    }
    Ok(())
}
