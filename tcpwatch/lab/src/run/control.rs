//! A timer whose promise is known, beside those that are judged: how late this machine's timers are
//! beyond what the timer wheel explains, because its processors are busy.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tcpwatch_core::timing::wheel::{TickRate, lateness};

/// How long each timer runs.
const WAIT: Duration = Duration::from_millis(100);

/// A thread that reads from a silent socket with a timeout, again and again: `schedule_timeout`
/// (`kernel/time/sleep_timeout.c`, before 6.14 `kernel/time/timer.c`) takes the timer wheel, as TCP
/// does. What it measures includes the wait for a processor. Ends when it is dropped.
pub(super) struct Control {
    worst_ns: Arc<AtomicU64>,
    /// The other end, whose end is the thread's end.
    _silent: UnixStream,
}

impl Control {
    pub(super) fn start(rate: TickRate) -> io::Result<Self> {
        let (mut socket, silent) = UnixStream::pair()?;
        socket.set_read_timeout(Some(WAIT))?;
        let ticks = rate.ticks(WAIT);
        let latest = rate.duration(ticks + lateness(ticks));
        let worst_ns = Arc::new(AtomicU64::new(0));
        let worst = Arc::clone(&worst_ns);
        thread::Builder::new().name("control".to_owned()).spawn(move || {
            loop {
                let began = Instant::now();
                // Nobody ever writes: it times out, or has come to its end.
                if socket.read(&mut [0]).is_ok() {
                    return;
                }
                let late = began.elapsed().saturating_sub(latest);
                worst.fetch_max(
                    u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
                    Ordering::Relaxed,
                );
            }
        })?;
        Ok(Self { worst_ns, _silent: silent })
    }

    /// By how much the worst of the timers was later than the wheel explains.
    pub(super) fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.load(Ordering::Relaxed))
    }
}
