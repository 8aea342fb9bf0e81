//! Drains the kernel's ring. Sleeps without a timer while nothing happens, is woken by the first
//! record, and from then on looks every few milliseconds until it finds the ring empty.

#![expect(unsafe_code, reason = "registering the ring's descriptor with the runtime is unsafe")]

use std::{io, time::Duration};

use aya::maps::{Array, MapData, MapError, RingBuf};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

use crate::probe::Ring;

/// Pause between two looks at a busy ring: the most a record waits, and the fewest microseconds
/// between two wakeups.
const BUSY_PAUSE: Duration = Duration::from_millis(3);
/// Pause after the first records that follow a quiet time; as long as records stay held back to be
/// put in order.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Records taken at once before signals and deadlines are looked at again.
const BUDGET: usize = 16_384;

/// What the next wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The ring is empty and the kernel has been asked to wake us.
    Asleep,
    /// Records came after a quiet time.
    JustWoken,
    /// Records keep coming.
    Busy,
    /// The budget was used up: more is waiting.
    Behind,
}

/// The ring's reading end.
pub struct RingSource {
    ring: AsyncFd<RingBuf<MapData>>,
    reader_sleeps: Array<MapData, u32>,
    mode: Mode,
}

/// The ring cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The runtime refuses the descriptor.
    #[error("cannot wait for records of the kernel: {0}")]
    Wait(#[from] io::Error),
    /// The request to be woken cannot be written.
    #[error("cannot ask the kernel to wake the reader: {0}")]
    Request(#[from] MapError),
}

impl RingSource {
    /// Registers the ring with the current tokio runtime.
    ///
    /// # Errors
    /// If the runtime refuses the descriptor.
    pub fn new(Ring { records, reader_sleeps }: Ring) -> Result<Self, RingError> {
        // SAFETY: the descriptor belongs to the ring, which the AsyncFd owns from here on and which
        // keeps it open for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(records, Interest::READABLE) }
            .map_err(io::Error::from)?;
        Ok(Self { ring, reader_sleeps, mode: Mode::Busy })
    }

    /// Waits until it is worth draining again. `held` says that the caller still holds records back.
    ///
    /// # Errors
    /// If the runtime or the kernel refuses to wait.
    pub async fn wait(&mut self) -> Result<(), RingError> {
        match self.mode {
            Mode::Behind => tokio::task::yield_now().await,
            Mode::JustWoken => sleep(FIRST_PAUSE).await,
            Mode::Busy => sleep(BUSY_PAUSE).await,
            Mode::Asleep => {
                self.ring.readable_mut().await?.clear_ready();
            }
        }
        Ok(())
    }

    /// Hands every record that is there to `take`; returns how many. If there was none and `held`
    /// is false, asks the kernel for a wakeup, so that the next wait is a sleep.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn drain(&mut self, held: bool, mut take: impl FnMut(&[u8])) -> Result<usize, RingError> {
        let woken = self.mode == Mode::Asleep;
        let mut count = self.take_all(&mut take);
        if count == 0 && !held {
            self.reader_sleeps.set(0, 1, 0)?;
            // The kernel side submits a record and then looks at the request; we have written the
            // request and now look at the ring. The barrier between is the system call's, made
            // explicit.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            count = self.take_all(&mut take);
            if count == 0 {
                self.mode = Mode::Asleep;
                return Ok(0);
            }
        }
        self.mode = match count {
            BUDGET.. => Mode::Behind,
            _ if woken => Mode::JustWoken,
            _ => Mode::Busy,
        };
        Ok(count)
    }

    fn take_all(&mut self, take: &mut impl FnMut(&[u8])) -> usize {
        let ring = self.ring.get_mut();
        let mut count = 0;
        while count < BUDGET
            && let Some(record) = ring.next()
        {
            take(&record);
            count += 1;
        }
        count
    }

    /// The last look ended before the ring's end.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self.mode, Mode::Behind)
    }

    /// Nothing is left to read and the next wait is a sleep.
    #[must_use]
    pub const fn is_asleep(&self) -> bool {
        matches!(self.mode, Mode::Asleep)
    }
}
