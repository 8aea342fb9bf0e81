//! What apt has for a list of packages; changes nothing.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::road::DEBIAN_COMPILER;

/// A package in apt's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AptPackage {
    name: String,
    installed: Option<String>,
    /// The version that `apt-get install` would install.
    candidate: Option<String>,
}

/// What apt can do for a list of packages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer<'a> {
    /// These have to be installed; empty if all are installed.
    Install(Vec<&'a str>),
    /// The lists do not contain these.
    Unknown(Vec<&'a str>),
    /// The compiler in the lists is older than the workspace demands.
    TooOld { version: String },
}

/// The oldest compiler that the workspace accepts.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Runs `apt-cache policy` for `names`; takes no lock and needs no root.
pub(super) fn policy(names: &[&str]) -> Result<Vec<AptPackage>> {
    let output = Command::new("apt-cache")
        .arg("policy")
        .args(names)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start `apt-cache policy`")?;
    ensure!(output.status.success(), "`apt-cache policy` failed ({})", output.status);
    Ok(parse_policy(&String::from_utf8_lossy(&output.stdout)))
}

/// What apt can do for `wanted`, given its lists.
pub(super) fn offer<'a>(wanted: &[&'a str], known: &[AptPackage]) -> Offer<'a> {
    let find = |name: &str| known.iter().find(|package| package.name == name);
    let (offered, unknown): (Vec<_>, Vec<_>) = wanted
        .iter()
        .copied()
        .partition(|name| find(name).is_some_and(|package| package.candidate.is_some()));
    if !unknown.is_empty() {
        return Offer::Unknown(unknown);
    }
    let compiler = find(DEBIAN_COMPILER).and_then(|package| package.candidate.as_deref());
    if let Some(version) = compiler.filter(|version| is_older(version, OLDEST)) {
        return Offer::TooOld { version: version.to_owned() };
    }
    let is_missing = |name: &&str| {
        find(name).is_none_or(|package| {
            let installed = package.installed.as_deref();
            let too_old = |version| *name == DEBIAN_COMPILER && is_older(version, OLDEST);
            installed.is_none_or(too_old)
        })
    };
    Offer::Install(offered.into_iter().filter(is_missing).collect())
}

/// The blocks of `apt-cache policy`: a name at the line's start, its facts indented below.
fn parse_policy(text: &str) -> Vec<AptPackage> {
    let mut packages: Vec<AptPackage> = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            let name = line.trim_end_matches(':').to_owned();
            packages.push(AptPackage { name, installed: None, candidate: None });
            continue;
        }
        let Some((package, (key, value))) = packages.last_mut().zip(line.trim().split_once(": "))
        else {
            continue;
        };
        let version = (value != "(none)").then(|| value.to_owned());
        match key {
            "Installed" => package.installed = version,
            "Candidate" => package.candidate = version,
            _ => {}
        }
    }
    packages
}

/// Compares major and minor; a version that cannot be read counts as new enough.
fn is_older(version: &str, oldest: &str) -> bool {
    major_minor(version).zip(major_minor(oldest)).is_some_and(|(version, oldest)| version < oldest)
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
rustc-web:
  Installed: (none)
  Candidate: 1.96.0+dfsg1-1~deb12u2
  Version table:
     1.96.0+dfsg1-1~deb12u2 500
        500 http://deb.example/debian bookworm/main amd64 Packages
     1.85.0+dfsg3-1~deb12u3 500
zlib1g-dev:
  Installed: 1:1.2.13.dfsg-1
  Candidate: 1:1.2.13.dfsg-1
  Version table:
 *** 1:1.2.13.dfsg-1 500
virtual:
  Installed: (none)
  Candidate: (none)
  Version table:
";

    fn compiler(installed: Option<&str>, candidate: &str) -> [AptPackage; 1] {
        [AptPackage {
            name: "rustc-web".into(),
            installed: installed.map(Into::into),
            candidate: Some(candidate.into()),
        }]
    }

    #[test]
    fn only_what_is_not_installed_is_installed() {
        let offer = offer(&["rustc-web", "zlib1g-dev"], &parse_policy(POLICY));
        assert_eq!(offer, Offer::Install(vec!["rustc-web"]), "zlib1g-dev is there");
    }

    #[test]
    fn a_package_without_candidate_is_as_unknown_as_one_never_heard_of() {
        let offer = offer(&["rustc-web", "virtual", "nowhere"], &parse_policy(POLICY));
        assert_eq!(offer, Offer::Unknown(vec!["virtual", "nowhere"]), "both named");
    }

    #[test]
    fn before_the_first_update_apt_knows_nothing() {
        let offer = offer(&["rustc-web"], &parse_policy(""));
        assert_eq!(offer, Offer::Unknown(vec!["rustc-web"]), "empty lists");
    }

    #[test]
    fn a_compiler_older_than_the_workspace_demands_is_refused() {
        let known = compiler(None, "1.85.0+dfsg3-1");
        let expected = Offer::TooOld { version: "1.85.0+dfsg3-1".into() };
        assert_eq!(offer(&["rustc-web"], &known), expected, "1.85 < {OLDEST}");
    }

    #[test]
    fn an_old_installed_compiler_is_upgraded() {
        let known = compiler(Some("1.85.0+dfsg3-1"), "1.96.0+dfsg1-1");
        let expected = Offer::Install(vec!["rustc-web"]);
        assert_eq!(offer(&["rustc-web"], &known), expected, "the candidate is newer");
    }

    #[test]
    fn versions_compare_as_numbers() {
        for (version, older) in [("1.94.9", true), ("1.95.0", false), ("1.100.0", false)] {
            assert_eq!(is_older(version, "1.95"), older, "{version}");
        }
    }
}
