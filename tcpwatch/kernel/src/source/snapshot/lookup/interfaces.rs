//! The interfaces that a socket may be bound to: `/proc/thread-self/net/igmp`.
//!
//! Every interface that is up and speaks IP has joined a group and has a line there
//! (`igmp_mc_seq_show`, `net/ipv4/igmp.c`); reading it takes no lock that others hold for long,
//! unlike a question to rtnetlink.

use std::fs;

/// Questions that may name an interface, in one go; they take some 10 ms.
const MOST: usize = 4096;

/// The indexes of the calling thread's network namespace, read when they are first needed, and
/// how many questions they may still be used for.
#[derive(Debug)]
pub(super) struct Interfaces {
    indexes: Option<Vec<u32>>,
    left: usize,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self { indexes: None, left: MOST }
    }
}

impl Interfaces {
    /// The indexes, for one question each; nothing if that is too much or they are unknown.
    pub(super) fn spend(&mut self) -> Option<&[u32]> {
        let indexes = match self.indexes.take() {
            Some(indexes) => indexes,
            None => indexes(&fs::read_to_string("/proc/thread-self/net/igmp").ok()?),
        };
        let indexes = self.indexes.insert(indexes);
        self.left = self.left.checked_sub(indexes.len())?;
        Some(indexes)
    }
}

/// A line `INDEX NAME : ...` for each interface; the lines below it, one for each group, are
/// indented.
fn indexes(table: &str) -> Vec<u32> {
    table.lines().filter_map(|line| line.split('\t').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
12\tveth 7\t  :     2      V3
\t\t\t\tFB0000E0     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
";

    #[test]
    fn every_interface_is_read_once() {
        assert_eq!(indexes(TABLE), [1, 12]);
        assert!(indexes("").is_empty());
    }

    #[test]
    fn questions_that_name_an_interface_are_bounded() {
        let mut interfaces = Interfaces { indexes: Some(vec![1, 12]), left: 5 };
        assert_eq!(interfaces.spend(), Some([1, 12].as_slice()));
        assert_eq!(interfaces.spend(), Some([1, 12].as_slice()));
        assert_eq!(interfaces.spend(), None);
    }

    #[test]
    fn the_own_interfaces_can_be_read() {
        assert!(Interfaces::default().spend().is_some());
    }
}
