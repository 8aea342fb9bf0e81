//! Names of Debian's kernels and the series to which they belong.

use std::{cmp::Ordering, fmt, str::FromStr};

use anyhow::{Context, Error, Result};

/// The first two numbers of a release: 6.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    major: u32,
    minor: u32,
}

impl Series {
    pub(crate) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Series {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('.').and_then(|(major, minor)| {
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        numbers.with_context(|| format!("`{text}` is not a series such as 6.12"))
    }
}

/// A kernel of Debian's by its release, `6.1.0-57-amd64` or `7.3.4+deb13-amd64`; the newest is the greatest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    release: String,
    numbers: Vec<u32>,
}

impl Image {
    /// The kernel of a package `linux-image-RELEASE`, if that is a plain kernel for this architecture: neither for
    /// clouds, nor for real time, nor unsigned, nor a metapackage.
    pub(crate) fn of(package: &str) -> Option<Self> {
        let release = package.strip_prefix("linux-image-")?;
        let version = release.strip_suffix("-amd64")?;
        let is_number = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
        let numbers: Vec<u32> = version
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect();
        let is_plain = version.split('-').all(is_number) && numbers.len() > 2;
        is_plain.then(|| Self { release: release.to_owned(), numbers })
    }

    pub(crate) fn series(&self) -> Series {
        let number = |at| self.numbers.get(at).copied().unwrap_or_default();
        Series::new(number(0), number(1))
    }

    /// The name of one of its packages.
    pub(crate) fn package(&self, kind: &str) -> String {
        format!("linux-{kind}-{}", self.release)
    }
}

impl Ord for Image {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| self.release.cmp(&other.release))
    }
}

impl PartialOrd for Image {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn newest(names: &[&str]) -> Option<String> {
        let images = names.iter().filter_map(|name| Image::of(name));
        images.max().map(|image| image.package("image"))
    }

    #[test]
    fn the_newest_plain_kernel_is_the_greatest() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1-amd64",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-6.1.0-57-cloud-amd64",
            "linux-image-6.1.0-58-amd64-unsigned",
            "linux-image-6.1.0-58-arm64",
        ];
        let expected = Some("linux-image-6.1.0-56-amd64");
        assert_eq!(newest(&names).as_deref(), expected, "by number, not by letter");
    }

    #[test]
    fn names_of_backports_are_understood() {
        let names = ["linux-image-6.12.100+deb12-amd64", "linux-image-6.12.17+deb12-amd64"];
        assert_eq!(newest(&names).as_deref(), Some("linux-image-6.12.100+deb12-amd64"));
        let image = Image::of("linux-image-7.3.4+deb13-amd64").unwrap();
        assert_eq!(image.series(), "7.3".parse().unwrap());
        assert_eq!(image.package("modules"), "linux-modules-7.3.4+deb13-amd64");
    }

    #[test]
    fn series_compare_as_numbers() {
        let [old, new] = ["6.1", "6.12"].map(|text| text.parse::<Series>().unwrap());
        assert!(old < new);
        assert!("6".parse::<Series>().is_err() && "6.x".parse::<Series>().is_err());
    }
}
