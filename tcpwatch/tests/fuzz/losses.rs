//! Recordings without some of their records, compared with the complete ones: what is shown of the rest is true, and
//! what is inferred is marked.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use tcpwatch_core::{
    decode::{Names, decode},
    event::{Cookie, Endpoints, Event, KernelTime, KnownKind, KnownSocket, Netns, TcpState},
    order::{Order, WINDOW},
    track::{Census, Change, TrackedEvent, Tracker},
};
use tcpwatch_kernel::source::recording::{Header, RecordedItem, Recording};

use super::{cases::cases, players::play_all, spoiled::recordings};

/// By then everything that was seen is settled.
const END: KernelTime = KernelTime(u64::MAX);

static PLAYS: LazyLock<Vec<Play>> =
    LazyLock::new(|| recordings().iter().map(|(name, bytes)| Play::read(name, bytes)).collect());

/// A recording, and the events shown from all of it.
struct Play {
    name: String,
    header: Header,
    known: Vec<KnownSocket>,
    events: Vec<Event>,
    answers: Vec<KnownSocket>,
    truth: Vec<TrackedEvent>,
}

impl Play {
    fn read(name: &str, bytes: &[u8]) -> Self {
        let mut recording = Recording::open(bytes).expect("a recording");
        let mut header = recording.header.clone();
        header.reliance.lives = true;
        let names =
            Names { symbols: header.symbols.clone(), reset_reasons: header.reset_reasons.clone() };
        let (mut events, mut answers) = (Vec::new(), Vec::new());
        while let Some(item) = recording.next_item().expect("a good line") {
            match item {
                RecordedItem::Record(bytes) => {
                    events.push(decode(&bytes, &names).expect("a record"));
                }
                RecordedItem::Answer(known) => answers.push(known),
                RecordedItem::Cgroup(..)
                | RecordedItem::Sysctls(..)
                | RecordedItem::Waiter(_)
                | RecordedItem::Others(_)
                | RecordedItem::Facts(_)
                | RecordedItem::Loss(_)
                | RecordedItem::Gone(_)
                | RecordedItem::PartsMissing(_) => {}
            }
        }
        let known = recording.known.clone();
        let mut play =
            Self { name: name.to_owned(), header, known, events, answers, truth: Vec::new() };
        play.truth = play.told(&HashSet::new(), &[]);
        play
    }

    /// The events shown without the records at these places. After each of `looks` (a number of records) the kernel's
    /// list is compared with.
    fn told(&self, missing: &HashSet<usize>, looks: &[usize]) -> Vec<TrackedEvent> {
        let mut player = Player {
            play: self,
            tracker: Tracker::new(self.header.reliance),
            order: Order::default(),
            answers: self.answers.iter().collect(),
            told: Vec::new(),
        };
        player.tracker.learn(&self.known);
        for (place, event) in self.events.iter().enumerate() {
            if missing.contains(&place) {
                player.tracker.lost(event.at());
            } else {
                player.order.push(event.clone());
            }
            player.release(event.at());
            if looks.contains(&place) {
                player.compare(event.at());
            }
        }
        player.release(END);
        if !missing.is_empty() {
            player.tracker.settle(END, &mut |tracked| player.told.push(tracked));
            player.compare(END);
            let alive = self.alive(END);
            let open = alive.iter().filter(|known| known.state != TcpState::Listen).count();
            assert!(player.tracker.open() <= open, "{}: what has ended is not open", self.name);
        }
        player.told
    }

    /// The sockets that exist at a time, by the events shown from the complete recording.
    fn alive(&self, at: KernelTime) -> Vec<KnownSocket> {
        let mut alive: HashMap<Who, KnownSocket> = self
            .known
            .iter()
            .map(|known| (Who::of(known.socket.into(), known.ends), *known))
            .collect();
        let mut made_up = u64::MAX;
        for change in changes(&self.truth).filter(|change| change.at <= at) {
            let subject = change.subject;
            // A half-open connection has no cookie, and the socket that it becomes has one.
            alive.remove(&Who::of(None, subject.ends));
            let who = Who::of(subject.socket, subject.ends);
            alive.remove(&who);
            made_up -= 1;
            if change.to != TcpState::Closed {
                let minis = [TcpState::TimeWait, TcpState::SynRecv];
                let known = KnownSocket {
                    socket: subject.socket.unwrap_or(Cookie(made_up)),
                    netns: subject.netns,
                    ends: subject.ends,
                    cgroup: None,
                    state: change.to,
                    kind: if minis.contains(&change.to) {
                        KnownKind::TimeWait
                    } else {
                        KnownKind::Full
                    },
                    timer_left: None,
                    seen: at,
                    quiet: None,
                    queue_full: false,
                    inode: 0,
                    owner: None,
                };
                alive.insert(who, known);
            }
        }
        alive.into_values().collect()
    }
}

/// The identity of a socket: its cookie, or without one its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Who {
    Cookie(u64),
    Ends(std::net::IpAddr, u16, std::net::IpAddr, u16),
}

impl Who {
    fn of(socket: Option<Cookie>, ends: Endpoints) -> Self {
        let Endpoints { local, remote } = ends;
        socket.map_or(
            Self::Ends(local.address, local.port, remote.address, remote.port),
            |Cookie(number)| Self::Cookie(number),
        )
    }
}

/// A replay in progress.
struct Player<'a> {
    play: &'a Play,
    tracker: Tracker,
    order: Order,
    answers: Vec<&'a KnownSocket>,
    told: Vec<TrackedEvent>,
}

impl Player<'_> {
    fn release(&mut self, now: KernelTime) {
        while let Some(event) = self.order.pop(now) {
            self.answer(event.at());
            self.tracker.apply(&event, |tracked| self.told.push(tracked));
        }
        if now == END {
            self.answer(END);
            self.tracker.settle(END, &mut |tracked| self.told.push(tracked));
        }
    }

    /// `sock_diag` was queried; its answer is not a record and is never lost.
    fn answer(&mut self, until: KernelTime) {
        while let Some(known) = self.answers.first().filter(|known| known.seen <= until) {
            self.tracker.answer(known, |tracked| self.told.push(tracked));
            self.answers.remove(0);
        }
    }

    /// Compares with the sockets that existed at `at`, after everything before that has been applied.
    fn compare(&mut self, at: KernelTime) {
        self.release(at.after(WINDOW));
        let netns: HashSet<Netns> =
            self.play.events.iter().map(|event| event.between().0).collect();
        let alive = self.play.alive(at);
        self.tracker
            .reconcile(&Census::new((at, at), netns, alive), |tracked| self.told.push(tracked));
    }
}

fn changes(tracked: &[TrackedEvent]) -> impl Iterator<Item = &Change> {
    tracked.iter().filter_map(|tracked| match tracked {
        TrackedEvent::Change(change) => Some(change),
        _ => None,
    })
}

/// The moments at which each socket ended.
fn ends(tracked: &[TrackedEvent]) -> BTreeMap<Who, Vec<KernelTime>> {
    let mut ends: BTreeMap<Who, Vec<KernelTime>> = BTreeMap::new();
    for change in changes(tracked).filter(|change| change.to == TcpState::Closed) {
        let subject = change.subject;
        ends.entry(Who::of(subject.socket, subject.ends)).or_default().push(change.at);
    }
    ends
}

/// Checks the events shown from a part.
fn check(play: &Play, told: &[TrackedEvent]) {
    let shown = || format!("{}\n{}", play.name, told.iter().map(spelled).collect::<String>());
    let truth = ends(&play.truth);
    for (who, moments) in ends(told) {
        // If the connection has no cookie, the complete recording may have one.
        let really: Vec<KernelTime> = match (truth.get(&who), who) {
            (Some(moments), _) => moments.clone(),
            (None, Who::Ends(..)) => changes(&play.truth)
                .filter(|change| change.to == TcpState::Closed)
                .filter(|change| Who::of(None, change.subject.ends) == who)
                .map(|change| change.at)
                .collect(),
            (None, Who::Cookie(_)) => Vec::new(),
        };
        assert!(moments.len() <= really.len(), "{who:?} ends {} times\n{}", moments.len(), shown());
        for (told_at, ended) in moments.iter().zip(really) {
            assert!(*told_at >= ended, "{who:?} is alive\n{}", shown());
        }
    }
    let reported: HashSet<_> = changes(&play.truth).map(essence).collect();
    for change in changes(told).filter(|change| !change.inferred) {
        let (at, mut ends, from, to) = essence(change);
        let mut known = reported.contains(&(at, ends, from, to));
        // The port comes only with the next record.
        if ends.local.port == 0 && from == TcpState::Closed {
            known = changes(&play.truth).any(|real| {
                ends.local.port = real.subject.ends.local.port;
                essence(real) == (at, ends, from, to)
            });
        }
        assert!(known, "not marked: {change:?}\n{}", shown());
    }
    for pair in chains(told) {
        let [before, after] = pair;
        assert_eq!(before.to, after.from, "a link is missing: {before:?} {after:?}\n{}", shown());
    }
    let lives =
        told.iter().filter(|tracked| matches!(tracked, TrackedEvent::Connection(_))).count();
    let over = changes(told)
        .filter(|change| change.to == TcpState::Closed && change.from != TcpState::Listen)
        .count();
    assert_eq!(lives, over, "each end is the end of one life\n{}", shown());
}

/// A change, from any kind of event.
fn essence(change: &Change) -> (KernelTime, Endpoints, TcpState, TcpState) {
    (change.at, change.subject.ends, change.from, change.to)
}

/// Every two successive changes of one socket.
fn chains(told: &[TrackedEvent]) -> Vec<[&Change; 2]> {
    let mut last: HashMap<Cookie, &Change> = HashMap::new();
    let mut pairs = Vec::new();
    for change in changes(told) {
        let Some(socket) = change.subject.socket else { continue };
        // What a socket does after its end is another connection, whose beginning may be missed.
        let before = last.insert(socket, change);
        pairs.extend(before.filter(|before| before.to != TcpState::Closed).map(|it| [it, change]));
    }
    pairs
}

fn spelled(tracked: &TrackedEvent) -> String {
    match tracked {
        TrackedEvent::Change(change) => {
            let mark = if change.inferred { " inferred" } else { "" };
            let gap = if change.gap { " gap" } else { "" };
            format!(
                "{} {:?} {}>{} {} {}{mark}{gap}\n",
                change.at.0,
                change.subject.socket,
                change.subject.ends.local.port,
                change.subject.ends.remote.port,
                change.from,
                change.to
            )
        }
        TrackedEvent::Connection(life) => format!("{} life {}\n", life.at.0, life.end.word()),
        _ => String::new(),
    }
}

#[test]
fn each_record_alone_and_each_two_neighbours_may_be_lost() {
    for play in &*PLAYS {
        for place in 0..play.events.len() {
            for many in 1..=2 {
                let told = play.told(&(place..place + many).collect(), &[]);
                check(play, &told);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn the_summary_counts_the_lines_that_are_marked(
        which in any::<proptest::sample::Index>(),
        lost in 1..100_u32,
        dice in vec(0..100_u32, 600),
    ) {
        let recordings = recordings();
        let (_, whole) = which.get(&recordings);
        let text = std::str::from_utf8(whole).expect("text");
        let kept = |(number, line): &(usize, &str)| {
            !line.starts_with("{\"record\"") || dice[number % dice.len()] >= lost
        };
        let part: String =
            text.split_inclusive('\n').enumerate().filter(kept).map(|(_, line)| line).collect();
        let played = play_all(part.as_bytes()).expect("a recording");
        let lines = played.text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let marked = lines
            .filter(|line| {
                let line: Value = serde_json::from_slice(line).expect("JSON");
                line["inferred"] == true
            })
            .count();
        let counted = played.summary.expect("totals").inferred;
        prop_assert_eq!(usize::try_from(counted), Ok(marked));
    }

    #[test]
    fn of_any_part_of_a_recording_nothing_false_is_told(
        which in any::<proptest::sample::Index>(),
        lost in 1..100_u32,
        dice in vec(0..100_u32, 600),
        looks in vec(0..600_usize, 0..4),
    ) {
        let play = which.get(&PLAYS);
        let missing: HashSet<usize> =
            (0..play.events.len()).filter(|place| dice[place % dice.len()] < lost).collect();
        let told = play.told(&missing, &looks);
        check(play, &told);
    }

    #[test]
    fn whatever_a_full_ring_refuses_in_a_row_nothing_false_is_told(
        which in any::<proptest::sample::Index>(),
        from in any::<proptest::sample::Index>(),
        many in 1..60_usize,
        looks in vec(0..600_usize, 0..4),
    ) {
        let play = which.get(&PLAYS);
        let from = from.index(play.events.len());
        let told = play.told(&(from..from + many).collect(), &looks);
        check(play, &told);
    }
}
