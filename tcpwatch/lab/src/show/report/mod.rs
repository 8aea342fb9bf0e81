//! Writes all runs as one JSON document; `schema.json` in this folder describes its format.

mod form;
mod story;

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tcpwatch_core::event::WallClock;
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_view::json::{self, Object, Word};
use thiserror::Error;

use self::{
    form::{Begins, NotRun, RunBegins, RunEnds},
    story::MomentWriter,
};
use crate::story::{LeftOut, Profile, Run};

/// Version of the format: incremented when a field changes its meaning, not when one is added.
const SCHEMA: u8 = 1;

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be opened; reported before anything runs.
    #[error(
        "cannot write the report {path}: {source}; name a file in a folder that you may write to"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be written; reported at the end.
    #[error("cannot finish the report {path}: {source}; it is incomplete")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// An open file for the report.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens the file before anything runs, and truncates it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(source) => Err(ReportError::Open { path: path.to_owned(), source }),
        }
    }

    /// Writes the document.
    ///
    /// # Errors
    /// If the file cannot be written, because the disk is full, say.
    pub fn write(mut self, document: &[u8]) -> Result<(), ReportError> {
        let written = self.file.write_all(document).and_then(|()| self.file.flush());
        written.map_err(|source| ReportError::Write { path: self.path, source })
    }
}

/// The document: all runs, made or not. `clock` converts the kernel's time to wall-clock time.
#[must_use]
pub fn document(runs: &[Run], left_out: &[LeftOut], clock: &WallClock) -> Vec<u8> {
    let mut out = Vec::new();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Object::write(&mut out, |report| {
        report.add(&Begins {
            schema: SCHEMA,
            tcpwatch: env!("CARGO_PKG_VERSION"),
            kernel: &release,
            holds: runs.iter().all(Run::holds),
        });
        report.list("runs", runs, |run, out| {
            Object::write(out, |object| write_run(run, clock, object));
        });
        report.list("not_run", left_out, |left_out, out| {
            let why = left_out.why.to_string();
            let (scenario, family) = (&*left_out.scenario.name, family_word(left_out.family));
            json::write(&NotRun { scenario, family, why }, out);
        });
    });
    out.push(b'\n');
    out
}

fn write_run(run: &Run, clock: &WallClock, object: &mut Object<'_>) {
    let mut writer = MomentWriter::new(&run.scenario, clock);
    let (started, ended) = (writer.moment(run.started), writer.moment(run.ended));
    object.add(&RunBegins::of(run, &started, &ended));
    object.list("story", &run.story, |moment, out| writer.write(moment, out));
    object.add(&RunEnds::of(run));
}

const fn family_word(family: FamilyFilter) -> Word {
    Word(match family {
        FamilyFilter::V4 => "ipv4",
        FamilyFilter::V6 => "ipv6",
    })
}

const fn profile_word(profile: Profile) -> Word {
    Word(match profile {
        Profile::Quick => "quick",
        Profile::Full => "full",
    })
}
