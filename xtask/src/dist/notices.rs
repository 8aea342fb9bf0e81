//! The text that the licences of the crates demand: who holds the rights, and the licence itself.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::crates::OutsideCrate;

/// How the names of files with a licence or a notice begin, in capitals.
const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// A list of the crates with their licences, then each text once, below the names of its crates.
pub(super) fn of(crates: &[OutsideCrate]) -> Result<String> {
    let mut notices =
        "tcpwatch contains code of these crates, each under the licence beside it.\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for outside in crates {
        writeln!(notices, "{} {}: {}", outside.name, outside.version, outside.license)?;
        for file in files(&outside.dir)? {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            texts.entry(unified(&text)).or_default().push(&outside.name);
        }
    }
    for (text, mut names) in texts {
        names.dedup();
        write!(notices, "\n{}\n{}:\n\n{text}", "-".repeat(72), names.join(", "))?;
    }
    Ok(notices)
}

/// The text with the same line ends in all crates.
fn unified(text: &str) -> String {
    let lines = text.trim_matches(['\n', '\r', '\u{c}']).lines();
    lines.fold(String::new(), |unified, line| unified + line.trim_end() + "\n")
}

/// The files of a crate with licences and notices, sorted.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_two_crates_share_is_there_once_below_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let crates = ["one", "two"].map(|name| {
            let dir = dir.path().join(name);
            fs::create_dir(&dir).unwrap();
            let end = if name == "one" { "\n" } else { "\r\n\r\n" };
            fs::write(dir.join("LICENSE-MIT"), format!("Copyright of both{end}")).unwrap();
            fs::write(dir.join("lib.rs"), "code").unwrap();
            OutsideCrate { name: name.into(), version: "1.0.0".into(), license: "MIT".into(), dir }
        });
        let notices = of(&crates).unwrap();
        assert!(notices.contains("one 1.0.0: MIT\ntwo 1.0.0: MIT\n"), "{notices}");
        assert!(notices.ends_with("one, two:\n\nCopyright of both\n"), "{notices}");
        assert_eq!(notices.matches("Copyright of both").count(), 1, "{notices}");
    }
}
