//! Which network namespace a line is of: said as soon as the log has lines of more than one, or of another one than
//! the reader is in.

use std::{collections::HashMap, time::Duration};

use super::cell;
use tcpwatch_core::event::{KernelTime, Netns};

/// A namespace's name is looked up again after this: the kernel gives the inode of one that has gone to
/// a new one.
const LOOKED_UP_FOR: Duration = Duration::from_secs(1);
/// Names that are kept at most.
const KEPT: usize = 4096;

/// The name of a namespace, if it has one.
pub type Naming = fn(Netns) -> Option<String>;

/// The namespaces of the lines so far.
#[derive(Debug)]
pub(super) struct Namespaces {
    naming: Naming,
    first: Option<Netns>,
    /// Lines of this one are never marked, those of others always.
    home: Option<Netns>,
    several: bool,
    /// What the line that is being written ends with.
    mark: Vec<u8>,
    known: HashMap<Netns, (KernelTime, Option<String>)>,
}

impl Namespaces {
    pub(super) fn new(naming: Naming) -> Self {
        Self {
            naming,
            first: None,
            home: None,
            several: false,
            mark: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// From now on, lines that are not about this one are marked.
    pub(super) const fn set_home(&mut self, home: Netns) {
        self.home = Some(home);
    }

    /// A line about this namespace begins.
    pub(super) fn begin(&mut self, netns: Netns, at: KernelTime) {
        self.mark.clear();
        self.several |= *self.first.get_or_insert(netns) != netns;
        if self.home.map_or(!self.several, |home| home == netns) {
            return;
        }
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        let (looked_up, name) =
            self.known.entry(netns).or_insert_with(|| (at, (self.naming)(netns)));
        if at.since(*looked_up) >= LOOKED_UP_FOR {
            (*looked_up, *name) = (at, (self.naming)(netns));
        }
        self.mark.extend_from_slice(" \u{b7} netns ".as_bytes());
        match name {
            Some(name) => cell::foreign(name, &mut self.mark),
            None => cell::number(netns.0, &mut self.mark),
        }
    }

    /// ` · netns blue`, or nothing while there is only one.
    pub(super) fn mark(&self) -> &[u8] {
        &self.mark
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    fn named(netns: Netns) -> Option<String> {
        (netns.0 == 8).then(|| "bl\u{1b}ue".to_owned())
    }

    fn marks(lines: &[u32]) -> Vec<String> {
        let mut namespaces = Namespaces::new(named);
        let mark = |netns: &u32| {
            namespaces.begin(Netns(*netns), KernelTime(0));
            String::from_utf8(namespaces.mark().to_vec()).unwrap()
        };
        lines.iter().map(mark).collect()
    }

    #[test]
    fn lines_of_one_namespace_do_not_name_it_and_from_the_second_on_every_line_does() {
        assert_eq!(marks(&[7, 7, 7]), ["", "", ""]);
        assert_eq!(marks(&[7, 8, 7, 9]), ["", " · netns bl?ue", " · netns 7", " · netns 9"]);
    }

    #[test]
    fn from_home_on_lines_of_others_name_theirs_and_those_of_home_do_not() {
        let mut namespaces = Namespaces::new(named);
        namespaces.set_home(Netns(7));
        for (netns, mark) in [(9, " \u{b7} netns 9"), (7, ""), (8, " \u{b7} netns bl?ue"), (7, "")]
        {
            namespaces.begin(Netns(netns), KernelTime(0));
            assert_eq!(namespaces.mark(), mark.as_bytes());
        }
    }

    #[test]
    fn a_name_is_looked_up_again_after_a_second() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let mut namespaces = Namespaces::new(|_| Some(ASKED.fetch_add(1, Relaxed).to_string()));
        namespaces.begin(Netns(1), KernelTime(0));
        for (at, mark) in [(0, "0"), (999_999_999, "0"), (1_000_000_000, "1")] {
            namespaces.begin(Netns(2), KernelTime(at));
            assert_eq!(namespaces.mark(), format!(" \u{b7} netns {mark}").as_bytes());
        }
    }
}
