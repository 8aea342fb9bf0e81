//! A recording through a named pipe: its records are counted by hook, by their bytes.

use std::{
    fs::File,
    io::BufReader,
    mem::offset_of,
    thread::{self, JoinHandle},
};

use rustix::fs::{CWD, Mode, mkfifoat};
use tcpwatch_common::{
    ListenerQueue, MiniSocket, OwnerVia, RecordHead, RecordKind, TimerEvent, counter::Hook,
    reset::FLAG_SENT, retransmit::FLAG_REQUEST,
};
use tcpwatch_kernel::source::recording::{RecordedItem, Recording};
use tempfile::TempDir;

/// The pipe to which tcpwatch writes its recording.
pub(super) struct Fifo {
    path: String,
    counting: JoinHandle<Recorded>,
    _folder: TempDir,
}

/// Records by hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded(Vec<(Hook, u64)>);

impl Fifo {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording").to_str().unwrap().to_owned();
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let to_read = path.clone();
        let counting = thread::spawn(move || Recorded::count(&to_read));
        Self { path, counting, _folder: folder }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// All records, after the writer has ended.
    pub(super) fn count(self) -> Recorded {
        self.counting.join().unwrap()
    }
}

impl Recorded {
    fn count(path: &str) -> Self {
        let mut recorded = Self::default();
        let stream = BufReader::with_capacity(1 << 18, File::open(path).unwrap());
        let mut recording = Recording::open(stream).unwrap();
        while let Some(item) = recording.next_item().unwrap() {
            if let RecordedItem::Record(record) = item {
                recorded.add(hook_of(&record));
            }
        }
        assert_eq!(recording.early_end(), None, "it was ended in order");
        recorded
    }

    fn add(&mut self, hook: Hook) {
        match self.0.iter_mut().find(|(of, _)| *of == hook) {
            Some((_, count)) => *count += 1,
            None => self.0.push((hook, 1)),
        }
    }

    pub(super) fn of(&self, hook: Hook) -> u64 {
        self.0.iter().find(|(of, _)| *of == hook).map_or(0, |(_, count)| *count)
    }
}

/// The hook that makes records like this one.
#[expect(clippy::as_conversions, reason = "fieldless enums with explicit numbers")]
fn hook_of(record: &[u8]) -> Hook {
    let byte = |offset: usize| record[offset];
    let flags = offset_of!(RecordHead, flags);
    let flags = u16::from_ne_bytes([byte(flags), byte(flags + 1)]);
    let timer = || byte(offset_of!(MiniSocket<1>, event));
    let kind = RecordKind::from_tag(byte(offset_of!(RecordHead, kind))).unwrap();
    match kind {
        // The record does not show which of the two calls it was.
        RecordKind::Owner if flags == u16::from(OwnerVia::Io) => Hook::Received,
        RecordKind::StateChange | RecordKind::StateChangeLast | RecordKind::Owner => Hook::SetState,
        RecordKind::RequestStart => Hook::TimerStart,
        RecordKind::MiniSocketCancel => Hook::TimerCancel,
        RecordKind::MiniSocket if timer() == TimerEvent::Start as u8 => Hook::TimerStart,
        RecordKind::MiniSocket if timer() == TimerEvent::Cancel as u8 => Hook::TimerCancel,
        RecordKind::MiniSocket => Hook::TimerExpire,
        RecordKind::Retransmit if flags & FLAG_REQUEST != 0 => Hook::RetransmitSynAck,
        RecordKind::Retransmit | RecordKind::TimedRetransmit => Hook::Retransmit,
        RecordKind::Reset if flags & FLAG_SENT != 0 => Hook::SendReset,
        RecordKind::Reset => Hook::ReceiveReset,
        RecordKind::SocketError => Hook::ErrorReport,
        RecordKind::ListenerQueue => {
            let start = offset_of!(ListenerQueue<1>, hook);
            let number = u32::from_ne_bytes([start, start + 1, start + 2, start + 3].map(byte));
            let hooks = [Hook::TimerCancel, Hook::TimerExpire, Hook::RetransmitSynAck];
            hooks.into_iter().find(|hook| *hook as u32 == number).unwrap()
        }
        RecordKind::Segment => panic!("no laboratory"),
    }
}
