//! A control timer beside those that are judged: it measures how late this machine's timers are beyond the timer
//! wheel's granularity, because its processors are busy.

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

/// The timeout of each timer.
const WAIT: Duration = Duration::from_millis(100);

/// A thread that repeatedly reads from a silent socket with a timeout: `schedule_timeout`
/// (`kernel/time/sleep_timeout.c`, before 6.14 `kernel/time/timer.c`) uses the timer wheel, as TCP does. The measured
/// lateness includes the wait for a processor. The thread ends when this is dropped.
pub(super) struct Control {
    worst_ns: Arc<AtomicU64>,
    /// The other end of the socket; closing it ends the thread.
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
                // Nothing is ever written: this is either the timeout or the end of the other side.
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

    /// The greatest lateness of a timer beyond the wheel's granularity.
    pub(super) fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst_ns.load(Ordering::Relaxed))
    }
}
