//! A program of an unpacked package, in a root file system made of it: as if it were installed. Nothing of the
//! machine's is changed, and all of it is gone when its process has ended.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{busybox, packages};
use crate::harness::netns::Netns;

/// `$1` becomes the root; `$2` is the unpacked package, `$3` what is `/work` there, `$4` busybox, `$5` who runs the
/// program. No package names a shell as what it needs.
const ENTER: &str = r#"
mount -t tmpfs none "$1"
cd "$1"
mkdir -p bin dev etc/containers proc run sys tmp usr var/tmp work
chmod 1777 tmp var/tmp
cp "$4" bin/sh
for name in lib lib64 sbin; do ln -s "usr/$name" "$name"; done
mount --bind "$2/usr" usr
mount --bind "$3" work
for name in dev proc sys; do mount --rbind "/$name" "$name"; done
mount -t cgroup2 none sys/fs/cgroup
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >etc/containers/policy.json
echo 'root:x:0:0::/:/bin/sh
nobody:x:65534:65534::/:/bin/sh' >etc/passwd
echo 'root:x:0:
nogroup:x:65534:' >etc/group
user=$5
shift 5
# No `exec`: the kernel ends all of them with the first process of the pid namespace, and forgets to end that one
# with its parent (PR_SET_PDEATHSIG) when it becomes another user.
chroot --userspec="$user" . "$@"
exit
"#;

pub(crate) const ROOT: &str = "0:0";
pub(crate) const NOBODY: &str = "65534:65534";

/// A root file system that is yet to be entered, and its directory `/work`.
pub(crate) struct System {
    package: &'static str,
    root: TempDir,
    work: TempDir,
}

/// A program that runs until its guard goes, with all processes that it has started.
pub(crate) struct Running(Child);

impl System {
    pub(crate) fn of(package: &'static str) -> Self {
        Self { package, root: tempfile::tempdir().unwrap(), work: tempfile::tempdir().unwrap() }
    }

    /// What is `/work` there.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// A command there, in a pid namespace of its own whose processes end with it.
    pub(crate) fn command(&self, user: &str, program: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-ec", ENTER, "sh"])
            .arg(self.root.path())
            .arg(packages().unwrap().join(self.package))
            .arg(self.work())
            .arg(busybox().unwrap())
            .arg(user)
            .args(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, user: &str, program: &[&str]) {
        let output = self.command(user, program).output().unwrap();
        assert!(output.status.success(), "{program:?}: {output:?}");
    }

    pub(crate) fn start(&self, netns: &Netns, user: &str, program: &[&str]) -> Running {
        let mut command = self.command(user, program);
        Running(netns.inside(move || command.spawn().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}
