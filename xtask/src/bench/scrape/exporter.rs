//! Starts a program that serves metrics on loopback, and scrapes it as Prometheus does.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{bench::proc_files, command::die_with_this_thread};

/// Time limit for the exporter to come up, and for each answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running exporter.
#[derive(Debug)]
pub(super) struct ScrapedExporter {
    child: Child,
    port: u16,
}

/// What one scrape took.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScrapedPage {
    /// From the SYN to the last byte.
    pub(super) took: Duration,
    /// Size of the body as transferred.
    pub(super) bytes: u64,
}

impl ScrapedExporter {
    /// Starts it; returns when it answers.
    pub(super) fn start(mut command: Command, port: u16) -> Result<Self> {
        let name = command.get_program().display().to_string();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        die_with_this_thread(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let mut exporter = Self { child, port };
        let start = Instant::now();
        while let Err(error) = exporter.scrape() {
            if let Some(status) =
                exporter.child.try_wait().context("cannot wait for the exporter")?
            {
                bail!("{name} has ended ({status})");
            }
            if start.elapsed() > DEADLINE {
                return Err(error.context(format!("{name} does not answer")));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(exporter)
    }

    /// Fetches a page as Prometheus does: compressed.
    pub(super) fn scrape(&self) -> Result<ScrapedPage> {
        self.get("Accept-Encoding: gzip\r\n")
    }

    pub(super) fn plain_bytes(&self) -> Result<u64> {
        Ok(self.get("")?.bytes)
    }

    /// CPU time of all its threads since its start.
    pub(super) fn cpu(&self) -> Result<Duration> {
        Ok(proc_files::usage(self.child.id())?.cpu)
    }

    /// Its resident memory now.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        Ok(proc_files::memory(self.child.id())?.resident)
    }

    /// Uses HTTP 1.0, so that the body ends with the connection.
    fn get(&self, header: &str) -> Result<ScrapedPage> {
        let start = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let request = format!("GET /metrics HTTP/1.0\r\nHost: localhost\r\n{header}\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let took = start.elapsed();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) =
            end.and_then(|end| answer.split_at_checked(end + 4)).context("no head")?;
        let status = String::from_utf8_lossy(head);
        ensure!(status.split(' ').nth(1) == Some("200"), "{status}");
        Ok(ScrapedPage { took, bytes: u64::try_from(body.len())? })
    }
}

impl Drop for ScrapedExporter {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
