//! Writes a recording in a thread of its own: the one that reads the kernel's ring only copies bytes.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tcpwatch_core::{
    event::{CgroupId, KernelTime, KnownSocket, Netns, Waiter},
    facts::HostFacts,
    sink::Loss,
    timing::Sysctls,
    track::{Gone, Others},
};
use tokio::sync::oneshot;

pub use super::recording_output::RecordingTarget;
use super::{
    frame::Frame, packed::chunk::RecordingChunk, recording::Header,
    recording_output::RecordingOutput,
};

/// What happened is in the file after this time at the latest, and on the disk half a second later.
const COLLECTED: Duration = Duration::from_millis(400);
/// Chunks on their way at most; then the thread that reads the ring waits, which is counted as `ring_full` if that takes
/// long.
const ON_THEIR_WAY: usize = 64;

/// Writes a recording.
pub struct Recorder {
    chunk: RecordingChunk,
    writing: Writing,
}

enum Writing {
    /// Privileges that are not needed any more go while there is one thread only, and the thread gets none of them.
    NotYet(Box<RecordingOutput>),
    Thread {
        chunks: SyncSender<RecordingChunk>,
        thread: JoinHandle<io::Result<()>>,
        /// Closed when the thread ends.
        ended: oneshot::Receiver<()>,
    },
    Over,
}

impl Recorder {
    /// Begins a recording.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(target: &RecordingTarget, header: &Header) -> io::Result<Self> {
        let output = RecordingOutput::create(target, header)?;
        Ok(Self { chunk: RecordingChunk::default(), writing: Writing::NotYet(Box::new(output)) })
    }

    /// Adds the sockets that existed.
    ///
    /// # Errors
    /// If one cannot be put into words.
    pub fn known(&mut self, sockets: &[KnownSocket]) -> io::Result<()> {
        sockets.iter().try_for_each(|socket| self.line(socket.seen, &Frame::Known(*socket)))
    }

    /// Adds the kernel's answer to a question about a socket.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn answer(&mut self, socket: &KnownSocket) -> io::Result<()> {
        self.line(socket.seen, &Frame::Answer(*socket))
    }

    /// Adds the kernel's answer to a question about a socket that stays in a state.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn waiter(&mut self, waiter: &Waiter) -> io::Result<()> {
        self.line(waiter.known.seen, &Frame::Waiter(*waiter))
    }

    /// Adds that more of one kind stay.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn others(&mut self, others: &Others) -> io::Result<()> {
        self.line(others.at, &Frame::Others(*others))
    }

    /// Adds by which rules a namespace sends again.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn sysctls(&mut self, netns: Netns, sysctls: Sysctls) -> io::Result<()> {
        self.lasting(&Frame::Sysctls(netns, sysctls))
    }

    /// Adds a look at the kernel.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn facts(&mut self, facts: &HostFacts) -> io::Result<()> {
        for part in facts.parts() {
            self.line(facts.at, &Frame::PartOfFacts(Box::new(part)))?;
        }
        let (at, unseen) = (facts.at, facts.unseen.clone());
        let rest = HostFacts { at, namespaces: Vec::new(), unseen };
        self.line(at, &Frame::Facts(Box::new(rest)))
    }

    /// Adds what was lost.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn loss(&mut self, loss: &Loss) -> io::Result<()> {
        self.line(loss.at, &Frame::Loss(*loss))
    }

    /// Adds which sockets were found to be gone.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn gone(&mut self, gone: &Gone) -> io::Result<()> {
        gone.parts().try_for_each(|part| self.line(gone.at, &Frame::Gone(part)))
    }

    /// Adds the path of a cgroup, and the name of its container.
    ///
    /// # Errors
    /// If it cannot be put into words.
    pub fn cgroup(&mut self, id: CgroupId, path: &[u8], name: Option<&str>) -> io::Result<()> {
        let frame = Frame::Cgroup(id, path.to_vec(), name.map(ToOwned::to_owned));
        self.lasting(&frame)
    }

    /// Adds a record, as it is.
    pub fn record(&mut self, record: &[u8]) {
        self.chunk.record(record);
    }

    /// Adds records, as they are.
    pub fn records(&mut self, records: &RecordingChunk) {
        self.chunk.append(records);
    }

    /// Hands over what was added until now.
    ///
    /// # Errors
    /// If what was handed over before could not be written.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let next = RecordingChunk::as_large_as(&self.chunk);
        let chunk = std::mem::replace(&mut self.chunk, next);
        match self.thread()?.send(chunk) {
            Ok(()) => Ok(()),
            // The thread has ended, with an error.
            Err(_) => self.end(),
        }
    }

    fn thread(&mut self) -> io::Result<&SyncSender<RecordingChunk>> {
        if let Writing::NotYet(_) = &self.writing
            && let Writing::NotYet(mut output) = std::mem::replace(&mut self.writing, Writing::Over)
        {
            let (chunks, received) = sync_channel(ON_THEIR_WAY);
            let (runs, ended) = oneshot::channel();
            let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
                let _runs: oneshot::Sender<()> = runs;
                write(&mut output, &received)
            })?;
            self.writing = Writing::Thread { chunks, thread, ended };
        }
        match &self.writing {
            Writing::Thread { chunks, .. } => Ok(chunks),
            _ => Err(io::Error::other("the recording is over")),
        }
    }

    /// Waits until something could not be written, which may be never.
    pub async fn broken(&mut self) -> io::Error {
        if let Writing::Thread { ended, .. } = &mut self.writing
            && ended.await.is_err()
        {
            return self.end().err().unwrap_or_else(|| io::Error::other("its thread ended"));
        }
        std::future::pending().await
    }

    /// Writes the rest, and says whether all of it was written.
    ///
    /// # Errors
    /// If something could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.writing, Writing::Over) {
            Writing::NotYet(mut output) => output.finish(),
            Writing::Thread { chunks, thread, .. } => {
                drop(chunks);
                thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
            }
            Writing::Over => Ok(()),
        }
    }

    fn line(&mut self, at: KernelTime, frame: &Frame) -> io::Result<()> {
        self.chunk.line(at, &serde_json::to_vec(frame)?);
        Ok(())
    }

    fn lasting(&mut self, frame: &Frame) -> io::Result<()> {
        self.chunk.lasting_line(&serde_json::to_vec(frame)?);
        Ok(())
    }
}

impl Drop for Recorder {
    /// A run that failed leaves what it has.
    fn drop(&mut self) {
        if let Err(error) = self.flush().and_then(|()| self.end()) {
            tracing::warn!("the end of the recording could not be written: {error}");
        }
    }
}

/// Writes what comes until there is no more.
fn write(output: &mut RecordingOutput, chunks: &Receiver<RecordingChunk>) -> io::Result<()> {
    let mut due: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            output.flush()?;
            due = None;
        }
        let chunk = match due {
            Some(due) => chunks.recv_timeout(due - now),
            None => chunks.recv().map_err(RecvTimeoutError::from),
        };
        match chunk {
            Ok(chunk) => {
                output.add(&chunk)?;
                due = due.or_else(|| Some(Instant::now() + COLLECTED));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return output.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tcpwatch_core::{event::WallClock, timing::wheel::TickRate, track::Reliance};

    use super::*;
    use crate::source::recording::Recording;

    fn recorder(path: &Path) -> Recorder {
        let clock = WallClock { kernel: KernelTime(1), unix_ns: 1 };
        let rate = TickRate(250);
        let reliance =
            Reliance { gapless: true, minis: true, lives: false, selective: false, rate };
        let (symbols, reset_reasons) = Default::default();
        let header = Header { version: 1, clock, reliance, symbols, reset_reasons, part: 0 };
        let target = RecordingTarget { path: path.to_owned(), most: None };
        Recorder::create(&target, &header).unwrap()
    }

    #[tokio::test]
    async fn a_disk_without_room_is_noticed_though_nothing_more_is_recorded() {
        let mut recorder = recorder(Path::new("/dev/full"));
        recorder.record(&[7; 64]);
        recorder.flush().unwrap();
        assert_eq!(recorder.broken().await.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn the_name_decides_on_the_form_and_both_hold_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let items = ["recording", "recording.jsonl"].map(|name| {
            let path = folder.path().join(name);
            let mut recorder = recorder(&path);
            for byte in [1, 1, 2] {
                recorder.record(&[byte; 64]);
                recorder.sysctls(Netns(9), Sysctls::default()).unwrap();
            }
            recorder.record(&[1; 3]);
            recorder.finish().unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.starts_with(b"{"), name == "recording.jsonl");
            let mut recording = Recording::open(bytes.as_slice()).unwrap();
            let items = std::iter::from_fn(|| recording.next_item().unwrap());
            items.map(|item| format!("{item:?}")).collect::<Vec<_>>()
        });
        assert_eq!(items[0].len(), 7);
        assert_eq!(items[0], items[1]);
    }

    #[test]
    fn more_than_a_block_can_hold_is_handed_over_at_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let mut recorder = recorder(&path);
        let records: Vec<_> = (0..100_000_u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes().repeat(8))
            .collect();
        for record in &records {
            recorder.record(record);
        }
        recorder.finish().unwrap();
        let file = fs::read(&path).unwrap();
        let mut recording = Recording::open(file.as_slice()).unwrap();
        let count = std::iter::from_fn(|| recording.next_item().unwrap()).count();
        assert_eq!(count, records.len());
        assert!(recording.early_end().is_none());
    }

    #[test]
    fn what_was_recorded_is_in_the_file_within_a_second_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let mut recorder = recorder(&path);
        recorder.record(&[7; 64]);
        recorder.flush().unwrap();
        let begun = Instant::now();
        let count = || {
            let bytes = fs::read(&path).unwrap();
            let mut recording = Recording::open(bytes.as_slice()).ok()?;
            recording.next_item().unwrap()
        };
        while count().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it is not there");
            thread::sleep(Duration::from_millis(5));
        }
        recorder.finish().unwrap();
    }
}
