//! What is wrong with the sockets that are watched, as `tcpwatch doctor` judges it, and which of them that is about.

use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, Netns, TcpState, process::Comm},
    facts::HostFacts,
    place::CgroupPlace,
};
use tcpwatch_doctor::{Doctor, Finding, Kind};
use tcpwatch_stream::batch::Item;

use crate::row::SocketRow;

/// Does a connection between these ends pass what was decided before the view?
pub type Passes = Box<dyn Fn(Netns, &Endpoints) -> bool>;

/// The findings at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Worst first.
    pub list: Vec<Finding>,
    /// The place of the one that is shown first.
    pub chosen: usize,
    /// The reader has chosen it; otherwise it is the worst.
    turned: bool,
    /// The table has only sockets that a finding is about.
    pub only: bool,
}

/// By what a finding is the same at another moment.
pub(crate) type FindingKey = (Kind, Netns, String);

pub(crate) fn key(finding: &Finding) -> FindingKey {
    let whose = &finding.whose;
    let owner = whose.process.map_or_else(String::new, |process| process.comm.to_string());
    let path = whose.place.as_ref().map(|place| String::from_utf8_lossy(&place.path));
    (finding.kind, whose.netns, format!("{owner} {}", path.unwrap_or_default()))
}

impl Findings {
    /// Takes the findings of another moment; one that the reader has chosen stays chosen as long as it is there.
    pub fn take(&mut self, list: Vec<Finding>) {
        let chosen = self.chosen().filter(|_| self.turned).map(key);
        let found = list.iter().position(|finding| Some(key(finding)) == chosen);
        self.turned = found.is_some();
        self.chosen = found.unwrap_or(0);
        self.list = list;
    }

    /// The one that is shown first.
    #[must_use]
    pub fn chosen(&self) -> Option<&Finding> {
        self.list.get(self.chosen)
    }

    /// Chooses the next one, or the one before, round and round.
    pub fn turn(&mut self, on: bool) {
        let count = self.list.len().max(1);
        self.turned = true;
        self.chosen = (self.chosen + if on { 1 } else { count - 1 }) % count;
    }

    /// Chooses the first of this key.
    pub(crate) fn choose(&mut self, wanted: &FindingKey) {
        let found = self.list.iter().position(|finding| key(finding) == *wanted);
        self.turned |= found.is_some();
        self.chosen = found.unwrap_or(self.chosen);
    }

    /// The sockets that the findings are about.
    #[must_use]
    pub fn about(&self) -> Vec<FindingSockets> {
        self.list.iter().map(FindingSockets::of).collect()
    }

    /// A finding is about sockets in this state.
    #[must_use]
    pub fn has(&self, state: TcpState) -> bool {
        let is_in = |finding: &Finding| {
            let mut examples = finding.examples.iter();
            examples.any(|example| example.state == Some(state))
        };
        self.list.iter().any(is_in)
    }
}

/// The sockets that a finding is about: its examples, and those that are in the same situation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingSockets {
    kind: Kind,
    netns: Netns,
    sockets: Vec<Cookie>,
    ends: Vec<Endpoints>,
    comm: Option<Comm>,
    /// The path of the cgroup.
    cgroup: Option<Box<[u8]>>,
}

impl FindingSockets {
    /// Those of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        let Finding { kind, whose, examples, .. } = finding;
        Self {
            kind: *kind,
            netns: whose.netns,
            sockets: examples.iter().filter_map(|example| example.socket).collect(),
            ends: examples.iter().map(|example| example.ends).collect(),
            comm: whose.process.map(|process| process.comm),
            cgroup: whose.place.as_ref().map(|place| place.path.clone()),
        }
    }

    /// Is it about this socket?
    #[must_use]
    pub fn holds(&self, row: &SocketRow, place: Option<&CgroupPlace>) -> bool {
        let subject = &row.subject;
        let is_example = match subject.socket {
            Some(socket) => self.sockets.contains(&socket),
            None => self.ends.contains(&subject.ends),
        };
        let exists_here = row.ended.is_none() && subject.netns == self.netns;
        is_example || exists_here && self.is_like_them(row, place)
    }

    fn is_like_them(&self, row: &SocketRow, place: Option<&CgroupPlace>) -> bool {
        let ends = &row.subject.ends;
        let same_port = || self.ends.iter().any(|other| other.local.port == ends.local.port);
        let same_remote = || self.ends.iter().any(|other| other.remote == ends.remote);
        match (self.kind, row.state) {
            (Kind::CloseWaitLeak, TcpState::CloseWait) | (Kind::HalfClosed, TcpState::FinWait2) => {
                self.is_owner_of(row, place)
            }
            (Kind::AcceptQueue, TcpState::Listen)
            | (Kind::SynQueue, TcpState::Listen | TcpState::SynRecv)
            | (Kind::SynAckLost, TcpState::SynRecv) => same_port(),
            (Kind::AcceptQueue, TcpState::Established | TcpState::CloseWait) => {
                row.waits_for_accept() && same_port()
            }
            (
                Kind::ConnectUnanswered | Kind::ConnectRefused | Kind::ConnectRejected,
                TcpState::SynSent,
            ) => same_remote(),
            _ => false,
        }
    }

    fn is_owner_of(&self, row: &SocketRow, place: Option<&CgroupPlace>) -> bool {
        row.owner().map(|process| process.comm) == self.comm
            && place.map(|place| &*place.path) == self.cgroup.as_deref()
    }
}

/// Judges what a run yields.
#[derive(Default)]
pub struct FindingJudge {
    doctor: Doctor,
}

impl FindingJudge {
    /// Takes in what a run yields.
    pub fn item(&mut self, item: &Item) {
        match item {
            Item::TrackedEvent(tracked) => self.doctor.tracked(tracked),
            Item::Place(id, place) => self.doctor.place(*id, place),
            Item::Loss(loss) => self.doctor.loss(loss),
            Item::Summary(_) => {}
        }
    }

    /// Takes in a look at the kernel.
    pub fn facts(&mut self, facts: &HostFacts) {
        self.doctor.facts(facts);
    }

    /// What is wrong at `now`, worst first. It takes time by the number of sockets that may have something wrong.
    pub fn findings(&mut self, now: KernelTime) -> Vec<Finding> {
        self.doctor.findings(now)
    }
}

/// Leaves of a look at the kernel, which is one at everything, what was not decided against before. Counters of a
/// namespace do not say which of its connections they are about.
pub(crate) fn narrow(facts: &mut HostFacts, passes: &Passes, is_known: impl Fn(Cookie) -> bool) {
    for here in &mut facts.namespaces {
        let netns = here.netns;
        here.counters.clear();
        here.listeners.retain(|listener| is_known(listener.socket));
        here.sockets.retain(|waiter| is_known(waiter.known.socket));
        here.destinations.retain(|used| {
            let local = tcpwatch_core::event::Endpoint { address: used.local, port: 0 };
            passes(netns, &Endpoints { local, remote: used.remote })
        });
    }
}
