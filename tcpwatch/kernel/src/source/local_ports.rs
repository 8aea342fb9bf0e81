//! The local ports that `connect()` may choose.

use std::{fs, io, ops::RangeInclusive};

/// Both files are those of the thread's network namespace.
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// `ip_local_port_range` without `ip_local_reserved_ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
}

/// The ports are not known.
#[derive(Debug, thiserror::Error)]
pub enum LocalPortsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which one.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What they hold.
    #[error("{RANGE} holds {range:?} and {RESERVED} {reserved:?}, which are not ports")]
    NoPorts {
        /// The range.
        range: String,
        /// The reserved ones.
        reserved: String,
    },
}

impl LocalPorts {
    /// Reads the present settings.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else. A kernel without reserved ports has none.
    pub fn read() -> Result<Self, LocalPortsError> {
        let cannot = |path| move |source| LocalPortsError::Read { path, source };
        let range = fs::read_to_string(RANGE).map_err(cannot(RANGE))?;
        let reserved = match fs::read_to_string(RESERVED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(cannot(RESERVED))?,
        };
        Self::parse(&range, &reserved).ok_or(LocalPortsError::NoPorts { range, reserved })
    }

    /// From the texts of both files; `None` if they are something else.
    #[must_use]
    pub fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut bounds = range.split_whitespace().map(str::parse);
        let range = bounds.next()?.ok()?..=bounds.next()?.ok()?;
        let words = reserved.trim().split(',').filter(|word| !word.is_empty());
        let span = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        Some(Self { range, reserved: words.map(span).collect::<Option<_>>()? })
    }

    /// May `connect()` choose it?
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|span| span.contains(&port))
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.range.clone().map(|port| u32::from(self.contains(port))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_no_ports_to_connect_from() {
        let ports = LocalPorts::parse("32768\t60999\n", "8080,40000-40009,60999\n").unwrap();
        assert_eq!(ports.size(), 28_232 - 11);
        for (port, is_one) in [(32_767, false), (32_768, true), (40_005, false), (60_999, false)] {
            assert_eq!(ports.contains(port), is_one, "{port}");
        }
        assert_eq!(LocalPorts::parse("1 65535", "\n").unwrap().size(), 65_535);
        let ports = LocalPorts::parse("1000\t1009\n", "1001,1003-1005\n").unwrap();
        assert_eq!(ports.size(), 6);
        assert!(ports.contains(1002) && !ports.contains(1004) && !ports.contains(1010));
        for (range, reserved) in [("", ""), ("1", ""), ("1 65536", ""), ("1 9", "x"), ("1 9", "1-")]
        {
            assert_eq!(LocalPorts::parse(range, reserved), None, "{range:?} {reserved:?}");
        }
    }
}
