//! A package archive on this file system with a few small packages, and a system that has some of them installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Apt, parts};

/// Its directory is removed when this is dropped.
pub(super) struct Archive {
    pub(super) dir: PathBuf,
}

impl Archive {
    /// Contains `emulator`, which is this system's `echo`, and `library`, which it needs.
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tcpwatch-{name}-{}", std::process::id()));
        let archive = Self { dir };
        for part in ["packages", "sources", "machine/lists/partial"] {
            fs::create_dir_all(archive.dir.join(part)).expect("a directory");
        }
        let mut of_library = vec![];
        let mut of_emulator = vec![];
        for part in parts(Path::new("/bin/echo")).expect("this system has echo") {
            if part.place.starts_with("bin") {
                of_emulator.push((PathBuf::from("usr/bin/emulator"), part.file));
            } else {
                // Debian's path of the library; the loader is also linked under another name.
                let file = fs::canonicalize(part.file).expect("a library");
                of_library.push((file.strip_prefix("/").expect("a path").to_owned(), file));
            }
        }
        let empty = archive.dir.join("empty");
        fs::write(&empty, "").expect("a file");
        of_library.push(("usr/share/library/file".into(), empty));
        let index = archive.pack("library", "", &of_library)
            + &archive.pack("emulator", "Depends: library (= 1.0)\n", &of_emulator);
        fs::write(archive.dir.join("packages/Packages"), index).expect("an index");
        let source = format!("deb [trusted=yes] copy:{}/packages ./\n", archive.dir.display());
        fs::write(archive.dir.join("sources/test.list"), source).expect("a source");
        archive
    }

    /// An apt whose only source is this archive.
    pub(super) fn apt(&self) -> Apt {
        Apt::open_in(&self.dir.join("apt"), &[&self.dir.join("sources")]).expect("an apt")
    }

    /// Marks packages as installed: name, version, more fields; returns the system's package database afterwards.
    pub(super) fn status(&self, packages: &[(&str, &str, &str)]) -> String {
        let paragraph = |(name, version, more): &(&str, &str, &str)| {
            let control = control(name, version, more);
            format!("{control}Status: install ok installed\n\n")
        };
        let status: String = packages.iter().map(paragraph).collect();
        fs::write(self.dir.join("machine/status"), &status).expect("a record");
        status
    }

    pub(super) fn status_now(&self) -> String {
        fs::read_to_string(self.dir.join("machine/status")).expect("the record")
    }

    /// Whether the system's apt would install this package, and its output.
    pub(super) fn machine_installs(&self, name: &str, more: &[&str]) -> (bool, String) {
        let machine = self.dir.join("machine");
        let options = [
            ("Dir::State", machine.clone()),
            ("Dir::State::status", machine.join("status")),
            ("Dir::Cache", machine),
            ("Dir::Etc::sourcelist", self.dir.join("sources/test.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
        ];
        let apt_get = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            for (key, path) in &options {
                command.arg("-o").arg(format!("{key}={}", path.display()));
            }
            command.args(["-o", "APT::Sandbox::User=root"]).args(args).env("LC_ALL", "C");
            command.output().expect("apt-get starts")
        };
        assert!(apt_get(&["update"]).status.success(), "it reads the archive");
        let output = apt_get(&[&["install", "--simulate", "--yes", name], more].concat());
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }

    /// Makes a package of these files and returns its entry in the index.
    fn pack(&self, name: &str, more: &str, files: &[(PathBuf, PathBuf)]) -> String {
        let root = self.dir.join(name);
        fs::create_dir_all(root.join("DEBIAN")).expect("a directory");
        let control = control(name, "1.0", more);
        fs::write(root.join("DEBIAN/control"), &control).expect("a file");
        for (place, file) in files {
            let place = root.join(place);
            fs::create_dir_all(place.parent().expect("below the root")).expect("a directory");
            fs::copy(file, place).expect("a copy");
        }
        let package = self.dir.join("packages").join(format!("{name}.deb"));
        let text = |mut command: Command| {
            let output = command.output().expect("it starts");
            assert!(output.status.success(), "{command:?}: {output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "-Znone", "--build"]).arg(&root).arg(&package);
        text(build);
        let mut sum = Command::new("sha256sum");
        sum.arg(&package);
        let sum = text(sum);
        let sum = sum.split(' ').next().expect("a sum");
        let size = fs::metadata(&package).expect("a package").len();
        format!("{control}Filename: ./{name}.deb\nSize: {size}\nSHA256: {sum}\n\n")
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn control(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <n@example.org>\n\
         {more}Description: for a test\n"
    )
}
