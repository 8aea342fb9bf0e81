//! System calls that may take long: each has a thread of its own, and a command is done when the call has returned or
//! sleeps in the kernel. So the next call is certain to come after it.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, unshare};
use rustix::thread::gettid;

/// Pause between two readings. A thread that only yielded would occupy a processor for a quarter of a second on kernels
/// before 6.6: after its sleep the scheduler credits it with 3 ms at nice 0, and at nice -20 they last 87 times as long
/// (`place_entity` in `kernel/sched/fair.c`).
const PAUSE: Duration = Duration::from_micros(20);

/// Detects that system calls have begun.
pub(super) struct Watcher(mpsc::Sender<Watched>);

/// A thread that makes a system call.
struct Watched {
    thread: i32,
    /// Numbers of the system calls in which it may sleep.
    numbers: &'static [libc::c_long],
    has_returned: Arc<AtomicBool>,
    has_begun: mpsc::Sender<()>,
}

impl Watcher {
    /// Starts the thread that detects them. It has a descriptor table of its own, so that it takes no number from a
    /// socket that is accepted at the same time.
    pub(super) fn start() -> io::Result<Self> {
        let (queue, requests) = mpsc::channel::<Watched>();
        let (sender, receiver) = mpsc::channel();
        let watch = move || {
            let is_apart = unshare(CloneFlags::CLONE_FILES).map_err(io::Error::from);
            let goes_on = is_apart.is_ok();
            if sender.send(is_apart).is_ok() && goes_on {
                for watched in requests {
                    watched.wait();
                }
            }
        };
        thread::Builder::new().name("watcher".to_owned()).spawn(watch)?;
        receiver.recv().map_err(io::Error::other)??;
        Ok(Self(queue))
    }

    /// Runs `work` in a thread; returns when it has returned or sleeps in one of these system calls.
    pub(super) fn begin(
        &self,
        numbers: &'static [libc::c_long],
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let has_returned = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let run = {
            let has_returned = Arc::clone(&has_returned);
            move || {
                if sender.send(gettid().as_raw_nonzero().get()).is_ok() {
                    work();
                }
                has_returned.store(true, Ordering::Release);
            }
        };
        let failed = |error: io::Error| format!("its process cannot start a thread: {error}");
        thread::Builder::new().name("call".to_owned()).spawn(run).map_err(failed)?;
        let ended = |_| "a thread of its process has ended too early".to_owned();
        let thread = receiver.recv().map_err(ended)?;
        let (has_begun, begun) = mpsc::channel();
        let watched = Watched { thread, numbers, has_returned, has_begun };
        self.0.send(watched).map_err(|_unsent| "the thread that watches system calls has ended")?;
        begun.recv().map_err(ended)
    }
}

impl Watched {
    fn wait(&self) {
        let file = format!("/proc/self/task/{}/syscall", self.thread);
        while !self.has_returned.load(Ordering::Acquire) {
            // `running`, or the number of the system call that it sleeps in (proc(5)). A kernel without this file, or
            // one that hides it, does not show that.
            let Ok(text) = fs::read_to_string(&file) else { break };
            let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
            if number.is_some_and(|number| self.numbers.contains(&number)) {
                break;
            }
            thread::sleep(PAUSE);
        }
        // The receiver waits for this; it has gone only if the process ends.
        self.has_begun.send(()).unwrap_or_default();
    }
}
