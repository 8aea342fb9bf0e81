//! The records of the kernel's ring: a [thread](super::drain) takes them out, and the run takes them from there. Sleeps
//! without a timer while nothing happens, is woken by the first record, and from then on looks every few milliseconds
//! until it finds the ring empty.

use std::{io, os::fd::AsFd as _, sync::Arc, thread::JoinHandle};

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
    Thread(JoinHandle<(Box<Ring>, Result<(), RingError>)>),
    /// The thread could not be joined.
    Gone,
}

/// The ring cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel refuses to wait, or to start a thread.
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
    /// If the thread cannot be started, or has failed.
    pub async fn wait(&mut self, held: bool) -> Result<(), RingError> {
        if let RingReader::Here(_) = self.reader {
            self.start()?;
        }
        if self.behind {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let changed = self.queue.changed.notified();
        if held && self.asleep {
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(BUSY_PAUSE) => {}
            }
        } else {
            changed.await;
        }
        match &self.reader {
            RingReader::Thread(thread) if thread.is_finished() => self.stop(),
            _ => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), RingError> {
        if let RingReader::Here(mut ring) = std::mem::replace(&mut self.reader, RingReader::Gone) {
            let queue = Arc::clone(&self.queue);
            let thread = std::thread::Builder::new().name("ring".to_owned()).spawn(move || {
                let done = drain(&mut ring, &queue);
                queue.changed.notify_one();
                (ring, done)
            })?;
            self.reader = RingReader::Thread(thread);
        }
        Ok(())
    }

    /// Ends the thread. What is in the ring afterwards is taken by [`drain`](Self::drain) itself.
    ///
    /// # Errors
    /// If it has failed before.
    pub fn stop(&mut self) -> Result<(), RingError> {
        match std::mem::replace(&mut self.reader, RingReader::Gone) {
            RingReader::Thread(thread) => {
                self.queue.stop();
                let (ring, done) = thread.join().map_err(|_panic| RingError::Panicked)?;
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
        let RingReader::Here(ring) = &mut self.reader else { return look.complete };
        let begun = clock::now();
        let mut records = RecordingChunk::default();
        let is_all = take_all(ring, &mut records);
        self.behind = !is_all;
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
