//! The files of an installation, as they lie below `/`: the same in the archive and in the packages.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::command;

use super::{Release, pack};
use crate::cargo;

/// Files that are copied from the checkout.
const COPIED: [(&str, &str); 18] = [
    ("deploy/systemd/tcpwatch.service", "usr/lib/systemd/system/tcpwatch.service"),
    ("deploy/systemd/tcpwatch.socket", "usr/lib/systemd/system/tcpwatch.socket"),
    ("deploy/systemd/tcpwatch.sysusers", "usr/lib/sysusers.d/tcpwatch.conf"),
    ("deploy/systemd/tcpwatch.tmpfiles", "usr/lib/tmpfiles.d/tcpwatch.conf"),
    ("deploy/systemd/web.yml", CONFIGURATION),
    ("deploy/events/fluent-bit.yaml", "usr/share/doc/tcpwatch/examples/fluent-bit.yaml"),
    ("deploy/events/logrotate.conf", "usr/share/doc/tcpwatch/examples/logrotate.conf"),
    ("deploy/events/rsyslog.conf", "usr/share/doc/tcpwatch/examples/rsyslog.conf"),
    (
        "deploy/events/tcpwatch-events.service",
        "usr/share/doc/tcpwatch/examples/tcpwatch-events.service",
    ),
    ("deploy/events/vector.yaml", "usr/share/doc/tcpwatch/examples/vector.yaml"),
    ("deploy/prometheus/prometheus.yml", "usr/share/doc/tcpwatch/examples/prometheus.yml"),
    ("deploy/prometheus/tcpwatch.rules.yml", "usr/share/doc/tcpwatch/examples/tcpwatch.rules.yml"),
    ("deploy/grafana/tcpwatch.json", "usr/share/doc/tcpwatch/examples/grafana.json"),
    ("deploy/METRICS.md", "usr/share/doc/tcpwatch/METRICS.md"),
    ("LICENSE-APACHE", "usr/share/doc/tcpwatch/LICENSE-APACHE"),
    ("LICENSE-GPL2", "usr/share/doc/tcpwatch/LICENSE-GPL2"),
    ("LICENSE-MIT", "usr/share/doc/tcpwatch/LICENSE-MIT"),
    ("README.md", "usr/share/doc/tcpwatch/README.md"),
];
/// The file that an administrator changes and an upgrade leaves alone.
pub(super) const CONFIGURATION: &str = "etc/tcpwatch/web.yml";
/// Where each shell looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/tcpwatch"),
    ("fish", "usr/share/fish/vendor_completions.d/tcpwatch.fish"),
    ("zsh", "usr/share/zsh/vendor-completions/_tcpwatch"),
];

/// Makes the tree below `root`.
pub(super) fn lay(release: &Release, root: &Path) -> Result<()> {
    put(root, "usr/bin/tcpwatch", &fs::read(&release.program)?)?;
    for (from, to) in COPIED {
        let from = cargo::workspace().join(from);
        put(root, to, &fs::read(&from).with_context(|| from.display().to_string())?)?;
    }
    put(root, "usr/share/doc/tcpwatch/NOTICES", release.notices.as_bytes())?;
    for (shell, to) in COMPLETIONS {
        let mut program = Command::new(&release.program);
        put(root, to, command::output(program.args(["completions", shell]))?.as_bytes())?;
    }
    manual(release, root)?;
    fs::set_permissions(root.join("usr/bin/tcpwatch"), fs::Permissions::from_mode(0o755))?;
    set_modes_of_directories(root)
}

/// The manual pages, compressed.
fn manual(release: &Release, root: &Path) -> Result<()> {
    let pages = tempfile::tempdir()?;
    command::succeed(
        Command::new(&release.program).arg("manpages").arg(pages.path()).arg(release.epoch.date()?),
    )?;
    let section = root.join("usr/share/man/man1");
    pack::make_dir(&section)?;
    for page in fs::read_dir(pages.path())? {
        let page = page?;
        let compressed = section.join(page.file_name()).with_added_extension("gz");
        pack::gzip(&page.path(), &compressed)?;
        fs::set_permissions(&compressed, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Writes a file that everybody may read.
pub(super) fn put(root: &Path, path: &str, content: &[u8]) -> Result<()> {
    let path = root.join(path);
    pack::make_dir(path.parent().unwrap_or(root))?;
    fs::write(&path, content).with_context(|| path.display().to_string())?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?)
}

/// 0755 for a directory and all below it, whatever the umask was.
pub(super) fn set_modes_of_directories(dir: &Path) -> Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_modes_of_directories(&entry.path())?;
        }
    }
    Ok(())
}
