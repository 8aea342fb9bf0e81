//! The file that `--record` writes: what was written when the last line of a burst was, is with the
//! kernel, which keeps it if tcpwatch is killed, and on the disk half a second later, which keeps it if
//! the machine goes down.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Between two calls of `fdatasync`. A call takes as long as the disk does, so it has a thread of its own:
/// the kernel's ring has to be read meanwhile.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes collected before they are written without a flush.
const COLLECTED: usize = 1 << 16;

/// A recording on its way to the disk.
pub struct RecordingFile {
    file: BufWriter<File>,
    /// Something was written since the last flush.
    written: bool,
    disk: Option<Disk>,
    /// Not so for a pipe: there is nothing to wait for.
    has_disk: bool,
}

/// The thread that calls `fdatasync`. It ends when this is dropped.
struct Disk {
    due: SyncSender<()>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl RecordingFile {
    /// Creates the file, or empties one that exists.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::over(File::create(path)?)
    }

    /// Writes into a file that is open, from where it is.
    ///
    /// # Errors
    /// If it cannot be said what kind of file it is.
    pub fn over(file: File) -> io::Result<Self> {
        let has_disk = file.metadata()?.is_file();
        let file = BufWriter::with_capacity(COLLECTED, file);
        Ok(Self { file, written: false, disk: None, has_disk })
    }

    /// The thread that brings the file to the disk is started when there is something to bring: privileges that are not
    /// needed any more are gone then, and it gets none of them.
    fn disk(&mut self) -> io::Result<&Disk> {
        Ok(match &mut self.disk {
            Some(disk) => disk,
            none => none.insert(Disk::of(self.file.get_ref())?),
        })
    }
}

impl Write for RecordingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written = true;
        self.file.write(bytes)
    }

    /// Gives everything to the kernel, and has it brought to the disk.
    fn flush(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.written) {
            return Ok(());
        }
        self.file.flush()?;
        if self.has_disk { self.disk()?.demand() } else { Ok(()) }
    }
}

impl Drop for RecordingFile {
    /// What the last flush asked for is done before the process ends.
    fn drop(&mut self) {
        let Some(disk) = &self.disk else { return };
        if let Err(error) = disk.failure().and_then(|()| self.file.get_ref().sync_data()) {
            tracing::warn!("the end of the recording may not be on the disk: {error}");
        }
    }
}

impl Disk {
    fn of(file: &File) -> io::Result<Self> {
        let (due, asked) = sync_channel(1);
        let failed = Arc::new(Mutex::new(None));
        let (file, failure) = (file.try_clone()?, Arc::clone(&failed));
        thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || sync_when_asked(&file, &asked, &failure))?;
        Ok(Self { due, failed })
    }

    /// Has what was written until now brought to the disk; fails if that did not work before.
    fn demand(&self) -> io::Result<()> {
        match self.due.try_send(()) {
            // A full channel holds the same demand already.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => {
                return Err(io::Error::other("its thread ended"));
            }
        }
        self.failure()
    }

    /// The error of an earlier demand, once.
    fn failure(&self) -> io::Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }
}

/// Until the other end of the channel is dropped; a demand that is still in it then is served.
fn sync_when_asked(file: &File, asked: &Receiver<()>, failed: &Mutex<Option<io::Error>>) {
    while asked.recv().is_ok() {
        if let Err(error) = file.sync_data() {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_flushed_is_in_the_file_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let mut file = RecordingFile::create(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n");
    }

    #[test]
    fn a_file_without_a_disk_is_written_all_the_same() {
        let mut null = RecordingFile::create(Path::new("/dev/null")).unwrap();
        null.write_all(b"one\n").unwrap();
        null.flush().unwrap();
        let mut full = RecordingFile::create(Path::new("/dev/full")).unwrap();
        full.write_all(b"one\n").unwrap();
        assert_eq!(full.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
