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
    time::Duration,
};

use nix::sched::{CloneFlags, unshare};
use rustix::thread::gettid;

/// Between two looks. A thread that only yielded would keep a processor for itself for a quarter of a
/// second on kernels before 6.6: it has slept, the scheduler owes it 3 ms at nice 0, and at nice -20 they
/// last 87 times as long (`place_entity` in `kernel/sched/fair.c`).
const PAUSE: Duration = Duration::from_micros(20);

/// Finds out that system calls have begun.
pub(super) struct Watcher(mpsc::Sender<Watched>);

/// A thread that makes a system call.
struct Watched {
    thread: i32,
    /// Numbers of system calls in which it is where it should be.
    numbers: &'static [libc::c_long],
    has_returned: Arc<AtomicBool>,
    has_begun: mpsc::Sender<()>,
}

impl Watcher {
    /// Starts the thread that looks. It has a table of open files of its own: what it opens must
    /// not take a number away from a socket that is accepted meanwhile.
    pub(super) fn start() -> io::Result<Self> {
        let (ask, asked) = mpsc::channel::<Watched>();
        let (tell, told) = mpsc::channel();
        let watch = move || {
            let is_apart = unshare(CloneFlags::CLONE_FILES).map_err(io::Error::from);
            let goes_on = is_apart.is_ok();
            if tell.send(is_apart).is_ok() && goes_on {
                for watched in asked {
                    watched.wait();
                }
            }
        };
        thread::Builder::new().name("watcher".to_owned()).spawn(watch)?;
        told.recv().map_err(io::Error::other)??;
        Ok(Self(ask))
    }

    /// Runs `work` in a thread until it has returned, or sleeps in one of these system calls.
    pub(super) fn begin(
        &self,
        numbers: &'static [libc::c_long],
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let has_returned = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let run = {
            let has_returned = Arc::clone(&has_returned);
            move || {
                if tell.send(gettid().as_raw_nonzero().get()).is_ok() {
                    work();
                }
                has_returned.store(true, Ordering::Release);
            }
        };
        let failed = |error: io::Error| format!("its process cannot start a thread: {error}");
        thread::Builder::new().name("call".to_owned()).spawn(run).map_err(failed)?;
        let ended = |_| "a thread of its process has ended too early".to_owned();
        let thread = told.recv().map_err(ended)?;
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
            // `running`, or the number of the system call that it sleeps in (proc(5)). A kernel
            // without this file, or one that hides it, does not tell.
            let Ok(text) = fs::read_to_string(&file) else { break };
            let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
            if number.is_some_and(|number| self.numbers.contains(&number)) {
                break;
            }
            thread::sleep(PAUSE);
        }
        // Whoever asked waits for it.
        let _told = self.has_begun.send(()).is_ok();
    }
}
