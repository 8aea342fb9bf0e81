//! Lines sorted by socket, mini-sockets included.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use super::line::{End, Line, Owner};

/// All changes of one socket, in the order of time.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) lines: Vec<Line>,
}

impl Life {
    fn last(&self) -> &Line {
        self.lines.last().unwrap()
    }

    fn cookie(&self) -> Option<u64> {
        self.lines.iter().find_map(|line| line.socket)
    }

    /// Whether this is the next change of a connection between the same endpoints.
    fn goes_on_with(&self, line: &Line) -> bool {
        let no_contradiction = line.socket.is_none() || self.cookie().is_none();
        no_contradiction && self.last().to != "CLOSED" && self.last().to == line.from
    }

    pub(crate) fn is_between(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.lines.iter().any(|line| line.joins(local, remote))
    }

    /// The states it passed through, each change taken once and each continuing the last.
    pub(crate) fn path(&self) -> String {
        let mut path = self.lines[0].from.clone();
        let mut state = &self.lines[0].from;
        for line in &self.lines {
            assert_eq!(&line.from, state, "{line} goes on from where the last change led:\n{self}");
            state = &line.to;
            path = format!("{path} {}", line.to);
        }
        path
    }

    /// Whether every change was reported when it happened.
    pub(crate) fn is_complete(&self) -> bool {
        self.lines.iter().all(|line| !line.inferred)
    }

    pub(crate) fn entered(&self, state: &str) -> &Line {
        let mut found = self.lines.iter().filter(|line| line.to == state);
        let line = found.next().unwrap_or_else(|| panic!("{state} is never entered:\n{self}"));
        assert!(found.next().is_none(), "{state} is entered once:\n{self}");
        line
    }

    pub(crate) fn left(&self, state: &str) -> &Line {
        let mut found = self.lines.iter().filter(|line| line.from == state);
        let line = found.next().unwrap_or_else(|| panic!("{state} is never left:\n{self}"));
        assert!(found.next().is_none(), "{state} is left once:\n{self}");
        line
    }

    /// Seconds in `state`, as reported; the difference of the two lines' times is the same.
    pub(crate) fn seconds_in(&self, state: &str) -> f64 {
        let told = self.left(state).in_state_s.unwrap_or_else(|| panic!("no duration:\n{self}"));
        let between = seconds(self.entered(state).mono_ns, self.left(state).mono_ns);
        assert!((told - between).abs() < 1e-6, "{told} reported, {between} passed:\n{self}");
        told
    }

    /// Why it ended.
    pub(crate) fn reason(&self) -> &str {
        let end = self.entered("CLOSED");
        end.reason.as_deref().unwrap_or_else(|| panic!("an end has a reason:\n{self}"))
    }

    /// The owner in its last line.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.last().process.as_ref()
    }

    pub(crate) fn direction(&self) -> Option<&str> {
        self.last().direction.as_deref()
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Sorts the changes by cookie, and by four-tuple for mini-sockets without one.
pub(crate) fn lives(lines: &[Line]) -> Vec<Life> {
    let mut changes: Vec<&Line> = lines.iter().filter(|line| line.is_state()).collect();
    changes.sort_by_key(|line| line.mono_ns);
    let mut found: Vec<Life> = Vec::new();
    let mut by_cookie: HashMap<u64, usize> = HashMap::new();
    let mut by_ends: HashMap<(u32, End, End), usize> = HashMap::new();
    for line in changes {
        let (local, remote) = line.ends();
        let ends = (line.netns, local, remote);
        let same_socket = line.socket.and_then(|cookie| by_cookie.get(&cookie));
        let same_ends = || by_ends.get(&ends).filter(|place| found[**place].goes_on_with(line));
        let known = same_socket.or_else(same_ends).copied();
        let place = known.unwrap_or_else(|| {
            found.push(Life { lines: Vec::new() });
            found.len() - 1
        });
        found[place].lines.push(line.clone());
        by_ends.insert(ends, place);
        by_cookie.extend(line.socket.map(|cookie| (cookie, place)));
    }
    found
}

/// The number of connections on each path.
pub(crate) fn paths(lives: &[Life]) -> BTreeMap<String, usize> {
    let mut paths = BTreeMap::new();
    for life in lives {
        *paths.entry(life.path()).or_default() += 1;
    }
    paths
}

/// The connections between these endpoints, seen from `local`.
pub(crate) fn lives_between(lines: &[Line], local: SocketAddr, remote: SocketAddr) -> Vec<Life> {
    let mut found = lives(lines);
    found.retain(|life| life.is_between(local, remote));
    found
}

/// The one connection between these endpoints, seen from `local`.
pub(crate) fn life(lines: &[Line], local: SocketAddr, remote: SocketAddr) -> Life {
    let mut found = lives_between(lines, local, remote);
    assert_eq!(found.len(), 1, "one life from {local} to {remote} in\n{}", transcript(lines));
    found.remove(0)
}

/// The one listener at `local`.
pub(crate) fn listener_life(lines: &[Line], local: SocketAddr) -> Life {
    let own = |life: &Life| {
        life.lines[0].local == Some(End::from(local))
            && life.lines.iter().any(|line| line.is("CLOSED>LISTEN") || line.is("LISTEN>CLOSED"))
    };
    let mut found = lives(lines);
    found.retain(own);
    assert_eq!(found.len(), 1, "one listener at {local}:\n{}", transcript(&found));
    found.remove(0)
}

/// For the message of a failure.
pub(crate) fn transcript<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Seconds from one moment of the kernel's clock to another.
pub(crate) fn seconds(from: u64, to: u64) -> f64 {
    std::time::Duration::from_nanos(to - from).as_secs_f64()
}
