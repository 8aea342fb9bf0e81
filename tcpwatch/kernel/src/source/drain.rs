//! Takes records out of the kernel's ring, in a thread of its own: it waits for no output, so that the ring is never
//! full because of that. What it took waits in a queue, whose memory is used only when it is needed.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};
use tcpwatch_core::event::KernelTime;
use tokio::sync::Notify;

use super::{packed::chunk::RecordingChunk, ring::RingError};
use crate::{clock, probe::Ring};

/// Pause between two looks at a busy ring: the most a record waits, and the least time between two wakeups, of this thread
/// and then of the run.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// Pause after the first records that follow a quiet time; as long as records stay held back to be
/// put in order.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Records taken at once.
const BUDGET: usize = 4_096;

/// Records that were taken out of the ring.
#[derive(Debug)]
pub struct TakenRecords {
    /// The records.
    pub records: RecordingChunk,
    /// Records before them for which the queue had no room.
    pub dropped: u64,
    /// There was so much before them that they are for the recording only.
    pub for_recording: bool,
}

/// Bytes that wait in the queue, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueRoom {
    /// What is more than this is for the recording only, if there is one.
    pub(super) shown: usize,
    /// What is more than this is dropped.
    pub(super) all: usize,
}

/// What the thread took and what it is to do.
pub(super) struct RecordQueue {
    state: Mutex<DrainState>,
    /// Notified when there is something new.
    pub(super) changed: Notify,
    /// Wakes the thread.
    kick: OwnedFd,
    /// Readable while the ring is not empty (`ringbuf_map_poll_kern` in kernel/bpf/ringbuf.c).
    ring: OwnedFd,
    room: QueueRoom,
}

#[derive(Default)]
struct DrainState {
    taken: VecDeque<TakenRecords>,
    bytes: usize,
    dropped: u64,
    /// The ring was empty when it was read last, which began at this time.
    complete: Option<KernelTime>,
    asleep: bool,
    stop: bool,
}

/// A look into the queue.
pub(super) struct QueueLook {
    pub(super) taken: Vec<TakenRecords>,
    /// More waits.
    pub(super) more: bool,
    pub(super) complete: Option<KernelTime>,
    pub(super) asleep: bool,
}

impl RecordQueue {
    /// Of the ring with this descriptor.
    pub(super) fn new(ring: BorrowedFd<'_>, room: QueueRoom) -> io::Result<Arc<Self>> {
        let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let ring = ring.try_clone_to_owned()?;
        let (state, changed) = (Mutex::default(), Notify::new());
        Ok(Arc::new(Self { state, changed, kick, ring, room }))
    }

    fn state(&self) -> MutexGuard<'_, DrainState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is the ring empty now?
    fn is_ring_empty(&self) -> bool {
        let mut look = [PollFd::new(&self.ring, PollFlags::IN)];
        poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }

    fn kick(&self) {
        match rustix::io::write(&self.kick, &1_u64.to_ne_bytes()) {
            // Full means kicked already.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => tracing::warn!("cannot wake the thread that reads the ring: {error}"),
        }
    }

    fn forget_kicks(&self) -> Result<(), Errno> {
        match rustix::io::read(&self.kick, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.kick();
    }

    /// Takes so many records, or a few more.
    pub(super) fn take(&self, most: usize) -> QueueLook {
        let mut state = self.state();
        let (mut taken, mut count) = (Vec::new(), 0);
        while count < most
            && let Some(next) = state.taken.pop_front()
        {
            count += next.records.count();
            state.bytes -= next.records.size();
            taken.push(next);
        }
        let more = !state.taken.is_empty();
        if !more && state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            taken.push(TakenRecords {
                records: RecordingChunk::default(),
                dropped,
                for_recording: false,
            });
        }
        if state.asleep && !more {
            // The thread will take nothing until there is something.
            let now = clock::now();
            if self.is_ring_empty() {
                state.complete = Some(now);
            }
        }
        QueueLook { taken, more, complete: state.complete, asleep: state.asleep && !more }
    }

    fn push(&self, records: RecordingChunk, complete: Option<KernelTime>) {
        let mut state = self.state();
        state.complete = complete.or(state.complete);
        if !records.is_empty() {
            let bytes = state.bytes + records.size();
            if bytes > self.room.all {
                state.dropped += u64::try_from(records.count()).unwrap_or(u64::MAX);
            } else {
                let for_recording = bytes > self.room.shown;
                let dropped = std::mem::take(&mut state.dropped);
                state.bytes = bytes;
                state.taken.push_back(TakenRecords { records, dropped, for_recording });
            }
        }
        drop(state);
        self.changed.notify_one();
    }
}

/// Takes all records that are there, as many as are taken at once; were these all?
pub(super) fn take_all(ring: &mut Ring, into: &mut RecordingChunk) -> bool {
    for _ in 0..BUDGET {
        let Some(record) = ring.records.next() else { return true };
        into.record(&record);
    }
    false
}

/// Asks the kernel for a wakeup with the next record.
fn request_wakeup(ring: &mut Ring) -> Result<(), RingError> {
    ring.reader_sleeps.set(0, 1, 0)?;
    // The kernel side submits a record and then looks at the request; we have written the
    // request and look at the ring next. The barrier between is the system call's, made
    // explicit.
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    Ok(())
}

/// Fills the queue until it is stopped.
pub(super) fn drain(ring: &mut Ring, queue: &RecordQueue) -> Result<(), RingError> {
    let mut pause = BUSY_PAUSE;
    let mut size = RecordingChunk::default();
    while !queue.state().stop {
        let (mut records, mut complete) = look(ring, &size);
        if records.is_empty() {
            request_wakeup(ring)?;
            (records, complete) = look(ring, &size);
        }
        if records.is_empty() {
            sleep(ring, queue, complete)?;
            pause = FIRST_PAUSE;
            continue;
        }
        size = RecordingChunk::as_large_as(&records);
        let is_behind = complete.is_none();
        queue.push(records, complete);
        if !is_behind {
            thread::sleep(std::mem::replace(&mut pause, BUSY_PAUSE));
        }
    }
    Ok(())
}

/// Takes what is there; the time at which it began if that is all.
fn look(ring: &mut Ring, size: &RecordingChunk) -> (RecordingChunk, Option<KernelTime>) {
    let begun = clock::now();
    let mut records = RecordingChunk::as_large_as(size);
    let is_all = take_all(ring, &mut records);
    (records, is_all.then_some(begun))
}

/// Waits for the kernel or a kick.
fn sleep(ring: &Ring, queue: &RecordQueue, complete: Option<KernelTime>) -> Result<(), RingError> {
    {
        let mut state = queue.state();
        if state.stop {
            return Ok(());
        }
        state.complete = complete.or(state.complete);
        state.asleep = true;
    }
    queue.changed.notify_one();
    let records = ring.records.as_fd();
    let mut wait = [PollFd::new(&records, PollFlags::IN), PollFd::new(&queue.kick, PollFlags::IN)];
    let woken = match poll(&mut wait, None) {
        Err(Errno::INTR) => Ok(()),
        woken => woken.map(drop),
    };
    queue.state().asleep = false;
    woken.and_then(|()| queue.forget_kicks()).map_err(|error| RingError::Wait(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: usize) -> RecordingChunk {
        let mut records = RecordingChunk::default();
        (0..count).for_each(|_| records.record(&[0; 64]));
        records
    }

    fn queue(room: QueueRoom) -> Arc<RecordQueue> {
        RecordQueue::new(io::stdin().as_fd(), room).unwrap()
    }

    /// Records that were taken, those that were dropped before them, and whether they are for the recording only.
    fn taken(queue: &RecordQueue) -> Vec<(usize, u64, bool)> {
        let look = queue.take(usize::MAX);
        assert!(!look.more);
        let taken = look.taken.iter();
        taken.map(|taken| (taken.records.count(), taken.dropped, taken.for_recording)).collect()
    }

    #[test]
    fn what_is_more_than_is_shown_is_for_the_recording_and_what_is_more_than_that_is_counted() {
        let one = records(1).size();
        let queue = queue(QueueRoom { shown: 3 * one, all: 5 * one });
        for _ in 0..2 {
            for count in [2, 2, 1, 7, 1] {
                queue.push(records(count), None);
            }
            // The last one finds no room either.
            assert_eq!(taken(&queue), [(2, 0, false), (2, 0, true), (1, 0, true), (0, 8, false)]);
            assert_eq!(taken(&queue), []);
        }
        queue.push(records(9), None);
        queue.push(records(1), None);
        assert_eq!(taken(&queue), [(1, 9, false)], "there is room again");
    }

    #[test]
    fn a_part_of_the_queue_says_that_more_waits_and_the_rest_until_when_it_is_all() {
        let room = QueueRoom { shown: usize::MAX, all: usize::MAX };
        let queue = queue(room);
        queue.push(records(3), Some(KernelTime(5)));
        queue.push(records(3), None);
        let look = queue.take(2);
        assert!((look.more, look.taken.len()) == (true, 1));
        let look = queue.take(2);
        assert!((look.more, look.complete) == (false, Some(KernelTime(5))));
    }
}
