//! Makes a recording of many connections from one connection that was recorded for the tests.

use std::{fs, io::Write as _, mem::offset_of, path::PathBuf};

use anyhow::{Context, Result};
use tcpwatch_common::RecordHead;

/// A connection that the client closes first, and its listener.
const RECORDED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tcpwatch/tests/data/client_closes_first_v4.jsonl"
));
/// The port of the client in that recording.
const CLIENT: u16 = 45992;
/// Lines of the log about a connection, up to its TIME_WAIT.
const LINES: u32 = 10;
/// Nanoseconds from one connection to the next: longer than a connection lasts, so that all records are in order.
const STEP: u64 = 2_000_000;

/// A temporary file; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SyntheticRecording {
    path: PathBuf,
    connections: u32,
}

impl SyntheticRecording {
    /// Writes a recording of that many connections.
    pub(super) fn write(connections: u32) -> Result<Self> {
        let name = format!("tcpwatch-bench-{}-{connections}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = many(connections).context("the recording of the tests has changed")?;
        let written = fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, connections })
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Number of lines that a replay of it prints, without those of the listener.
    pub(super) fn lines(&self) -> u32 {
        LINES * self.connections
    }
}

impl Drop for SyntheticRecording {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("bench: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// The header and the listener, then copies of the connection, each later than the one before, with other cookies and
/// another port.
fn many(connections: u32) -> Option<String> {
    let mut lines = RECORDED.lines();
    let mut text = format!("{}\n{}\n", lines.next()?, lines.next()?);
    let records: Vec<_> = lines.filter_map(record).collect();
    let begun = time(records.first()?)?;
    // The end of the listener and of TIME_WAIT are left out.
    let is_life = |record: &&Vec<u8>| time(record).is_some_and(|at| at < begun + STEP / 2);
    for number in 0..connections {
        for record in records.iter().filter(is_life) {
            let copy = copy(record, number)?;
            text += "{\"record\":\"";
            text.extend(copy.iter().map(|byte| format!("{byte:02x}")));
            text += "\"}\n";
        }
    }
    Some(text)
}

/// The bytes that a line of the recording stands for.
fn record(line: &str) -> Option<Vec<u8>> {
    let digits = line.strip_prefix("{\"record\":\"")?.strip_suffix("\"}")?;
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn copy(record: &[u8], number: u32) -> Option<Vec<u8>> {
    let mut copy = record.to_vec();
    let at = time(record)? + STEP * u64::from(number);
    put(&mut copy, offset_of!(RecordHead, at_ns), at.to_ne_bytes())?;
    let cookie = u64::from_ne_bytes(get(record, offset_of!(RecordHead, cookie))?);
    if cookie != 0 {
        // Two sockets for each connection.
        let cookie = cookie + 2 * u64::from(number);
        put(&mut copy, offset_of!(RecordHead, cookie), cookie.to_ne_bytes())?;
    }
    for port in [offset_of!(RecordHead, local_port), offset_of!(RecordHead, remote_port)] {
        if u16::from_ne_bytes(get(record, port)?) == CLIENT {
            let client = 10_000 + u16::try_from(number % 50_000).ok()?;
            put(&mut copy, port, client.to_ne_bytes())?;
        }
    }
    Some(copy)
}

fn time(record: &[u8]) -> Option<u64> {
    get(record, offset_of!(RecordHead, at_ns)).map(u64::from_ne_bytes)
}

fn get<const N: usize>(record: &[u8], at: usize) -> Option<[u8; N]> {
    record.get(at..)?.first_chunk().copied()
}

fn put<const N: usize>(record: &mut [u8], at: usize, bytes: [u8; N]) -> Option<()> {
    *record.get_mut(at..)?.first_chunk_mut()? = bytes;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_is_later_and_has_sockets_of_its_own() {
        let text = many(3).expect("the recording is as it was");
        let records: Vec<_> = text.lines().filter_map(record).collect();
        let times: Vec<_> = records.iter().filter_map(|record| time(record)).collect();
        assert!(times.is_sorted(), "{times:?}");
        let cookie =
            |record: &Vec<u8>| get(record, offset_of!(RecordHead, cookie)).map(u64::from_ne_bytes);
        let sockets: std::collections::BTreeSet<_> =
            records.iter().filter_map(cookie).filter(|cookie| *cookie != 0).collect();
        assert_eq!(sockets.len(), 7, "a listener, three clients, three servers: {sockets:?}");
    }
}
