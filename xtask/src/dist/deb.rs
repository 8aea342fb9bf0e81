//! The package for Debian and its derivatives, made by dpkg-deb.

use std::{env::consts::ARCH, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{Release, pack, tree};
use crate::cargo;

/// Who answers for the package; Debian's tools want an address, and the project has none.
const MAINTAINER: &str = "The tcpwatch authors <authors@tcpwatch.invalid>";

/// Makes the package and returns its name.
pub(super) fn make(release: &Release, out: &Path) -> Result<String> {
    let arch = match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no name of Debian is known for the architecture {other}"),
    };
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("tcpwatch");
    tree::lay(release, &root)?;
    documents(release, &root)?;
    overrides(&root)?;
    let size = kibibytes(&root)?;
    control(release, &root, arch, size)?;
    tree::set_modes_of_directories(&root)?;
    let name = format!("tcpwatch_{}_{arch}.deb", release.version);
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", release.epoch.seconds());
    build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&root).arg(out.join(&name));
    pack::output(&mut build)?;
    Ok(name)
}

/// What Debian's policy wants beside the program: `copyright`, which holds all licences, and a changelog.
fn documents(release: &Release, root: &Path) -> Result<()> {
    let source = cargo::workspace().join("deploy/debian/copyright");
    let copyright = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let doc = "usr/share/doc/tcpwatch";
    tree::put(root, &format!("{doc}/copyright"), copyright.as_bytes())?;
    for license in ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"] {
        // Debian has the first two in /usr/share/common-licenses; the third is in `copyright`.
        fs::remove_file(root.join(doc).join(license))?;
    }
    let notices = root.join(doc).join("NOTICES");
    compress(&notices)?;
    let changelog = format!(
        "tcpwatch ({}) unstable; urgency=medium\n\n  * Release {0}; CHANGELOG.md in the sources lists the changes.\n\n \
         -- {MAINTAINER}  {}\n",
        release.version,
        release.epoch.rfc5322()?
    );
    tree::put(root, &format!("{doc}/changelog"), changelog.as_bytes())?;
    compress(&root.join(doc).join("changelog"))
}

/// What Debian's checker is not to complain about, with the reasons.
fn overrides(root: &Path) -> Result<()> {
    let source = cargo::workspace().join("deploy/debian/lintian-overrides");
    let text = fs::read(&source).with_context(|| source.display().to_string())?;
    tree::put(root, "usr/share/lintian/overrides/tcpwatch", &text)
}

/// Replaces a file by its compressed form.
fn compress(file: &Path) -> Result<()> {
    let compressed = file.with_added_extension("gz");
    pack::gzip(file, &compressed)?;
    fs::set_permissions(compressed, fs::Permissions::from_mode(0o644))?;
    Ok(fs::remove_file(file)?)
}

/// The package's own files: what it is, the sums of what it installs, and what is run around that.
fn control(release: &Release, root: &Path, arch: &str, size: u64) -> Result<()> {
    let sums = md5sums(root)?;
    let control = format!(
        "Package: tcpwatch\nVersion: {}\nArchitecture: {arch}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {size}\nSection: net\nPriority: optional\n\
         Description: observer of every TCP connection, by eBPF\n \
         Shows each TCP state change as it happens, how long each state lasted, who\n \
         owned the socket and why it ended, TIME_WAIT and half-open connections\n \
         included. Also exports metrics for Prometheus, makes recordings, and puts\n \
         real sockets into every state in a laboratory of its own.\n",
        release.version
    );
    tree::put(root, "DEBIAN/control", control.as_bytes())?;
    tree::put(root, "DEBIAN/md5sums", sums.as_bytes())?;
    tree::put(root, "DEBIAN/conffiles", format!("/{}\n", tree::CONFIGURATION).as_bytes())?;
    for script in ["postinst", "prerm", "postrm"] {
        let source = cargo::workspace().join("deploy/debian").join(script);
        let text = fs::read(&source).with_context(|| source.display().to_string())?;
        tree::put(root, &format!("DEBIAN/{script}"), &text)?;
        let script = root.join("DEBIAN").join(script);
        fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `SUM  PATH` for each file.
fn md5sums(root: &Path) -> Result<String> {
    let mut files = files(root)?;
    files.sort();
    let relative = files.iter().filter_map(|file| file.strip_prefix(root).ok());
    pack::output(Command::new("md5sum").current_dir(root).args(relative))
}

/// The sizes of all files, each rounded up, as Debian's policy counts them.
fn kibibytes(root: &Path) -> Result<u64> {
    files(root)?.iter().map(|file| Ok(fs::metadata(file)?.len().div_ceil(1024))).sum()
}

fn files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}
