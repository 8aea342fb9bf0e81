//! The records of the kernel's ring: a [thread](super::drain) takes them out, and the run takes them from there. Sleeps
//! without a timer while nothing happens, is woken by the first record, and from then on looks every few milliseconds
//! until it finds the ring empty.

use std::{
    io,
    os::fd::AsFd as _,
    sync::{
        Arc,
        mpsc::{self, SendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use aya::maps::MapError;
use tcpwatch_core::event::KernelTime;

use super::{
    drain::{BUSY_PAUSE, QueueRoom, RecordQueue, TakenRecords, drain, take_all},
    packed::chunk::RecordingChunk,
};
use crate::{clock, probe::Ring};

/// Records handed out at once before signals and deadlines are looked at again.
const BUDGET: usize = 16_384;
/// The queue has room for so many times as much as the ring.
const ROOM: usize = 16;
/// With a recording for so many times as much again.
const RECORDED_ROOM: usize = 4;
/// Pause between two looks at records that are held back, while no more come.
const HELD_PAUSE: Duration = Duration::from_millis(3);
/// Pause between two looks at an empty ring where there is no thread: far below what it has room for.
const ALONE_PAUSE: Duration = Duration::from_millis(50);

/// The ring's reading end.
pub struct RingSource {
    reader: RingReader,
    queue: Arc<RecordQueue>,
    /// More waits in the queue, or did when it was looked at.
    behind: bool,
    asleep: bool,
}

enum RingReader {
    /// No thread: it is not started yet, or the run is ending.
    Here(Box<Ring>),
    /// No thread can be started: the run takes the records out of the ring itself.
    Alone(Box<Ring>),
    Thread(JoinHandle<Option<Drained>>),
    /// The thread could not be joined.
    Gone,
}

/// What a thread leaves at its end.
type Drained = (Box<Ring>, Result<(), RingError>);

/// The ring cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel refuses to wait.
    #[error("cannot wait for records of the kernel: {0}")]
    Wait(#[from] io::Error),
    /// The request to be woken cannot be written.
    #[error("cannot ask the kernel to wake the reader: {0}")]
    Request(#[from] MapError),
    /// The thread panicked.
    #[error("the thread that reads the kernel's ring has panicked")]
    Panicked,
}

impl RingSource {
    /// Prepares to read a ring of so many bytes. If a recording is made, records may be for that only.
    ///
    /// # Errors
    /// If the kernel refuses a descriptor.
    pub fn new(ring: Ring, bytes: u32, has_recording: bool) -> Result<Self, RingError> {
        let shown = ROOM.saturating_mul(usize::try_from(bytes).unwrap_or(usize::MAX));
        let all = if has_recording { RECORDED_ROOM.saturating_mul(shown) } else { shown };
        let queue = RecordQueue::new(ring.records.as_fd(), QueueRoom { shown, all })?;
        let reader = RingReader::Here(Box::new(ring));
        Ok(Self { reader, queue, behind: true, asleep: false })
    }

    /// Waits until it is worth draining again. `held` says that the caller still holds records back. The thread is
    /// started by the first call: privileges that are not needed any more are gone then.
    ///
    /// # Errors
    /// If the thread has failed.
    pub async fn wait(&mut self, held: bool) -> Result<(), RingError> {
        self.start();
        if self.behind {
            tokio::task::yield_now().await;
            return Ok(());
        }
        if let RingReader::Alone(_) = self.reader {
            tokio::time::sleep(if self.asleep { ALONE_PAUSE } else { BUSY_PAUSE }).await;
            return Ok(());
        }
        let changed = self.queue.changed.notified();
        if held && self.asleep {
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(HELD_PAUSE) => {}
            }
        } else {
            changed.await;
        }
        match &self.reader {
            RingReader::Thread(thread) if thread.is_finished() => self.stop(),
            _ => Ok(()),
        }
    }

    /// Starts the thread, if there is none.
    fn start(&mut self) {
        let ring = match std::mem::replace(&mut self.reader, RingReader::Gone) {
            RingReader::Here(ring) => ring,
            other => {
                self.reader = other;
                return;
            }
        };
        let (give, given) = mpsc::sync_channel::<Box<Ring>>(1);
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name("ring".to_owned()).spawn(move || {
            let mut ring = given.recv().ok()?;
            let done = drain(&mut ring, &queue);
            queue.changed.notify_one();
            Some((ring, done))
        });
        self.reader = match thread {
            Ok(thread) => match give.send(ring) {
                Ok(()) => RingReader::Thread(thread),
                Err(SendError(ring)) => RingReader::Here(ring),
            },
            Err(error) => {
                tracing::warn!("a slow output can make the kernel's ring full: no thread: {error}");
                RingReader::Alone(ring)
            }
        };
    }

    /// Ends the thread. What is in the ring afterwards is taken by [`drain`](Self::drain) itself.
    ///
    /// # Errors
    /// If it has failed before.
    pub fn stop(&mut self) -> Result<(), RingError> {
        match std::mem::replace(&mut self.reader, RingReader::Gone) {
            RingReader::Thread(thread) => {
                self.queue.stop();
                let ended = thread.join().ok().flatten();
                let (ring, done) = ended.ok_or(RingError::Panicked)?;
                self.reader = RingReader::Here(ring);
                done
            }
            other => {
                self.reader = other;
                Ok(())
            }
        }
    }

    /// Hands what was taken out of the ring to `take`, in order. Returns the time up to which that is all there is;
    /// `None` if more waits.
    pub fn drain(&mut self, mut take: impl FnMut(TakenRecords)) -> Option<KernelTime> {
        let look = self.queue.take(BUDGET);
        look.taken.into_iter().for_each(&mut take);
        (self.behind, self.asleep) = (look.more, look.asleep);
        if look.more {
            return None;
        }
        let (ring, is_alone) = match &mut self.reader {
            RingReader::Here(ring) => (ring, false),
            RingReader::Alone(ring) => (ring, true),
            _ => return look.complete,
        };
        let begun = clock::now();
        let mut records = RecordingChunk::default();
        let is_all = take_all(ring, &mut records);
        self.behind = !is_all;
        self.asleep = is_alone && records.is_empty();
        if !records.is_empty() {
            take(TakenRecords { records, dropped: 0, for_recording: false });
        }
        is_all.then_some(begun)
    }

    /// Nothing is left to read and the next wait is a sleep.
    #[must_use]
    pub const fn is_asleep(&self) -> bool {
        self.asleep
    }
}

impl Drop for RingSource {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!("{error}");
        }
    }
}
