//! Archives and sums by tar, gzip and coreutils, the same bytes each time.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::cargo;

/// The time that all files of a release have, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(u64);

impl Epoch {
    /// `SOURCE_DATE_EPOCH` if it is set, else the time of the commit.
    pub(super) fn of_the_commit() -> Result<Self> {
        if let Some(set) = env::var_os("SOURCE_DATE_EPOCH") {
            let set = set.to_string_lossy();
            return Ok(Self(set.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {set}"))?));
        }
        let mut git = Command::new("git");
        git.current_dir(cargo::workspace()).args(["log", "-1", "--format=%ct"]);
        let time = output(&mut git).context("set SOURCE_DATE_EPOCH outside of a git checkout")?;
        Ok(Self(time.trim().parse().with_context(|| format!("git says {time:?}"))?))
    }

    /// In the form of `SOURCE_DATE_EPOCH`.
    pub(super) fn seconds(self) -> String {
        self.0.to_string()
    }

    /// `2026-11-30T06:00:00Z`.
    pub(super) fn utc(self) -> Result<String> {
        self.formatted("+%Y-%m-%dT%H:%M:%SZ")
    }

    /// `2026-11-30`.
    pub(super) fn date(self) -> Result<String> {
        self.formatted("+%Y-%m-%d")
    }

    /// `Mon, 30 Nov 2026 06:00:00 +0000`, as in mail and in Debian's changelogs.
    pub(super) fn rfc5322(self) -> Result<String> {
        self.formatted("+%a, %d %b %Y %H:%M:%S +0000")
    }

    fn formatted(self, format: &str) -> Result<String> {
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").args(["--utc", &format!("--date=@{}", self.0), format]);
        Ok(output(&mut date)?.trim().to_owned())
    }
}

/// Packs `name` in `dir` into the uncompressed archive `archive`; everything in it belongs to root.
pub(super) fn tar(dir: &Path, name: &str, archive: &Path, epoch: Epoch) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.env("LC_ALL", "C").args(["--create", "--format=gnu", "--sort=name", "--numeric-owner"]);
    tar.args(["--owner=0", "--group=0", &format!("--mtime=@{}", epoch.0)]);
    tar.arg("--file").arg(archive).arg("--directory").arg(dir).arg(name);
    output(&mut tar).map(drop)
}

/// The same, compressed.
pub(super) fn tar_gz(dir: &Path, name: &str, archive: &Path, epoch: Epoch) -> Result<()> {
    let plain = tempfile::NamedTempFile::new()?;
    tar(dir, name, plain.path(), epoch)?;
    gzip(plain.path(), archive)
}

/// Compresses a file; the result has neither its name nor its time.
pub(super) fn gzip(file: &Path, compressed: &Path) -> Result<()> {
    let into = File::create(compressed).with_context(|| compressed.display().to_string())?;
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name", "--stdout"]).arg(file).stdout(into);
    succeed(&mut gzip)
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(file: &Path) -> Result<String> {
    let printed = output(Command::new("sha256sum").arg(file))?;
    let sum = printed.split_whitespace().next().context("sha256sum printed nothing")?;
    // A backslash stands before the sum of a file with an odd name.
    Ok(sum.trim_start_matches('\\').to_owned())
}

/// The text of `SHA256SUMS` for files in a directory.
pub(super) fn sums(dir: &Path, files: &[String]) -> Result<String> {
    output(Command::new("sha256sum").current_dir(dir).args(files))
}

/// Makes a directory and those above it.
pub(super) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| path.display().to_string())
}

/// Runs a program to its end; what it prints on stderr is shown.
pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

/// The same; returns what it printed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed ({})", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed other than text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_of_two_directories_give_the_same_archive_whatever_their_times_are() {
        let sums = ["b a", "a b"].map(|order| {
            let dir = tempfile::tempdir().unwrap();
            for name in order.split(' ') {
                make_dir(&dir.path().join("tree")).unwrap();
                fs::write(dir.path().join("tree").join(name), name).unwrap();
            }
            let old = File::open(dir.path().join("tree/a")).unwrap();
            let time = if order == "b a" { 1 } else { 1_000_000_000 };
            old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
            let archive = dir.path().join(order.replace(' ', "") + ".tar.gz");
            tar_gz(dir.path(), "tree", &archive, Epoch(1_700_000_000)).unwrap();
            sha256(&archive).unwrap()
        });
        assert_eq!(sums[0], sums[1], "no name of the archive, no order and no time is in it");
    }

    #[test]
    fn the_time_of_a_release_is_written_as_each_file_wants_it() {
        let epoch = Epoch(1_700_000_000);
        assert_eq!(epoch.seconds(), "1700000000");
        assert_eq!(epoch.utc().unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(epoch.rfc5322().unwrap(), "Tue, 14 Nov 2023 22:13:20 +0000");
    }
}
