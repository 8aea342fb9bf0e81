//! Collects the events of a run's hosts and of the live log, lists the hosts' sockets by `sock_diag` besides, and puts
//! all of it in order.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use tcpwatch_core::event::{KernelTime, TcpState};
use tcpwatch_kernel::clock;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

use super::{progress::StepProgress, words};
use crate::{
    host::Host,
    hosts::World,
    scenario::{Condition, DropRule},
    story::{MomentKind, StoryEvent},
};

/// An event may arrive this much later than events that happened after it; until then nothing is shown.
const HELD: Duration = Duration::from_millis(30);
/// A `sock_diag` query follows a change after this delay, when the state is likely to last…
const QUERY_AFTER: Duration = Duration::from_millis(10);
/// …and is made at least this often.
const QUERY_EVERY: Duration = Duration::from_secs(1);
/// A change that the live log has not reported by then was missed. Some changes it has to query, with a delay.
const MISSED: Duration = Duration::from_secs(3);

pub(super) struct Listening<'a, S> {
    rules: &'a [DropRule],
    moments: UnboundedReceiver<StoryEvent>,
    progress: StepProgress,
    /// Events not shown yet, in order; the number separates those of the same nanosecond.
    held: BTreeMap<(KernelTime, u64), StoryEvent>,
    number: u64,
    story: Vec<StoryEvent>,
    show: S,
    seen: [Vec<TcpState>; 2],
    next_query: Instant,
    /// Since when `sock_diag` and the live log disagree.
    apart_since: Option<Instant>,
    warnings: Vec<String>,
}

impl<'a, S: FnMut(&StoryEvent)> Listening<'a, S> {
    pub(super) fn new(
        rules: &'a [DropRule],
        moments: UnboundedReceiver<StoryEvent>,
        show: S,
    ) -> Self {
        Self {
            rules,
            moments,
            progress: StepProgress::default(),
            held: BTreeMap::new(),
            number: 0,
            story: Vec::new(),
            show,
            seen: [Vec::new(), Vec::new()],
            next_query: Instant::now() + QUERY_EVERY,
            apart_since: None,
            warnings: Vec::new(),
        }
    }

    /// To be called when a step other than a wait begins.
    pub(super) fn mark(&mut self) {
        self.catch_up();
        self.progress.mark();
    }

    /// Whether the condition holds by the events so far.
    pub(super) fn holds(&self, condition: &Condition) -> bool {
        self.progress.holds(condition, self.rules)
    }

    /// The state of the run, for the message about a wait that was too long.
    pub(super) fn describe(&self) -> String {
        self.progress.describe()
    }

    /// Takes one event or makes one query; false if the deadline came first.
    pub(super) async fn once(&mut self, world: &mut World, deadline: Instant) -> bool {
        loop {
            let shows_at = if self.held.is_empty() { deadline } else { Instant::now() + HELD };
            tokio::select! {
                biased;
                Some(moment) = self.moments.recv() => {
                    self.take(moment);
                    self.show_until(clock::now().before(HELD));
                    return true;
                }
                () = sleep_until(deadline) => return false,
                () = sleep_until(self.next_query) => {
                    self.query(world);
                    return true;
                }
                () = sleep_until(shows_at) => self.show_until(clock::now().before(HELD)),
            }
        }
    }

    /// Takes all events until the deadline.
    pub(super) async fn until(&mut self, world: &mut World, deadline: Instant) {
        while self.once(world, deadline).await {}
    }

    /// Takes events while `done` is in progress.
    pub(super) async fn attend<T>(&mut self, done: impl Future<Output = T>) -> T {
        let mut done = pin!(done);
        loop {
            tokio::select! {
                biased;
                result = &mut done => return result,
                Some(moment) = self.moments.recv() => {
                    self.take(moment);
                    self.show_until(clock::now().before(HELD));
                }
            }
        }
    }

    /// Queries the sockets of both hosts.
    pub(super) fn query(&mut self, world: &mut World) {
        self.next_query = Instant::now() + QUERY_EVERY;
        for (host, seen) in Host::ALL.into_iter().zip(0..) {
            let at = clock::now();
            match world.machine_mut(host).list() {
                Ok(sockets) => {
                    let states = sockets.iter().map(|socket| socket.state).collect();
                    self.witness(at, host, seen, states);
                }
                Err(error) => {
                    let warning = format!("sock_diag does not answer on the {host}: {error:#}");
                    if !self.warnings.contains(&warning) {
                        self.warnings.push(warning);
                    }
                }
            }
        }
        self.compare();
    }

    /// The states that the live log failed to report, if it has missed a change. `None` as long as the report can still
    /// come.
    pub(super) fn missed(&self) -> Option<String> {
        let since = self.apart_since.filter(|since| since.elapsed() >= MISSED)?;
        let found = self.apart().map(|(host, found)| {
            let states =
                if found.is_empty() { "no socket".to_owned() } else { words::states(found) };
            format!("sock_diag finds {states} on the {host}")
        });
        let found: Vec<_> = found.collect();
        let long = humantime::format_duration(Duration::from_secs(since.elapsed().as_secs()));
        Some(format!("a change of state was missed: for {long}, {}", found.join(", ")))
    }

    /// Queries at the end: the number of hosts on which `sock_diag` disagrees with the live log.
    pub(super) fn disagreements(&mut self, world: &mut World) -> u64 {
        self.catch_up();
        self.query(world);
        u64::try_from(self.apart().count()).unwrap_or(u64::MAX)
    }

    /// The hosts whose sockets are in other states than the live log reported, with the states that `sock_diag` shows.
    fn apart(&self) -> impl Iterator<Item = (Host, &Vec<TcpState>)> {
        let looked = Host::ALL.into_iter().zip(&self.seen);
        looked.filter(|(host, seen)| **seen != self.progress.states(*host))
    }

    fn compare(&mut self) {
        let is_apart = self.apart().next().is_some();
        self.apart_since = is_apart.then(|| self.apart_since.unwrap_or_else(Instant::now));
    }

    fn witness(&mut self, at: KernelTime, host: Host, place: usize, mut states: Vec<TcpState>) {
        // sock_diag does not list sockets in CLOSED.
        states.retain(|state| *state != TcpState::Closed);
        states.sort_unstable_by_key(|state| state.to_kernel());
        let Some(seen) = self.seen.get_mut(place).filter(|seen| **seen != states) else { return };
        seen.clone_from(&states);
        self.take(StoryEvent { at, host, what: MomentKind::Witness(states) });
    }

    fn catch_up(&mut self) {
        while let Ok(moment) = self.moments.try_recv() {
            self.take(moment);
        }
    }

    fn take(&mut self, moment: StoryEvent) {
        self.progress.take(&moment);
        if matches!(moment.what, MomentKind::TrackedEvent(_)) {
            self.apart_since = None;
            self.next_query = self.next_query.min(Instant::now() + QUERY_AFTER);
        }
        self.held.insert((moment.at, self.number), moment);
        self.number += 1;
    }

    fn show_until(&mut self, until: KernelTime) {
        while let Some(next) = self.held.first_entry() {
            if next.key().0 > until {
                break;
            }
            let moment = next.remove();
            (self.show)(&moment);
            self.story.push(moment);
        }
    }

    /// All events in order, and warnings.
    pub(super) fn into_story(mut self) -> (Vec<StoryEvent>, Vec<String>) {
        self.catch_up();
        self.show_until(KernelTime(u64::MAX));
        self.story.sort_by_key(|moment| moment.at);
        (self.story, self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::{
        event::{Cookie, Endpoint, Endpoints, Netns},
        track::{Change, Subject, TrackedEvent},
    };
    use tcpwatch_kernel::probe::filters::FamilyFilter;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use TcpState::{Established, FinWait1, FinWait2};

    fn change(from: TcpState, to: TcpState) -> StoryEvent {
        let end = |host: Host, port| Endpoint { address: host.address(FamilyFilter::V4), port };
        let ends =
            Endpoints { local: end(Host::Client, 40_000), remote: end(Host::Server, 11_111) };
        let subject = Subject::unknown(Some(Cookie(1)), Netns(1), ends);
        let at = KernelTime(1);
        let change = Change::plain(at, subject, (from, None), to);
        StoryEvent {
            at,
            host: Host::Client,
            what: MomentKind::TrackedEvent(Box::new(TrackedEvent::Change(change))),
        }
    }

    /// The result of a query that finds this state, so long after the last change in the live log.
    fn missed_after(found: TcpState, since: Duration) -> Option<String> {
        let (_sender, moments) = unbounded_channel();
        let mut listening = Listening::new(&[], moments, |_: &StoryEvent| {});
        listening.take(change(Established, FinWait1));
        listening.witness(KernelTime(2), Host::Client, 0, vec![found]);
        listening.compare();
        if listening.apart_since.is_some() {
            listening.apart_since = Instant::now().checked_sub(since);
        }
        listening.missed()
    }

    #[test]
    fn a_look_that_does_not_agree_for_long_tells_that_a_change_was_missed() {
        let missed = missed_after(FinWait2, MISSED).unwrap();
        assert!(missed.contains("sock_diag finds FIN_WAIT_2 on the client"), "{missed}");
    }

    #[test]
    fn a_change_that_can_still_be_told_is_not_missed() {
        assert_eq!(missed_after(FinWait2, MISSED / 2), None);
        assert_eq!(missed_after(FinWait1, MISSED), None, "both agree");
    }

    #[test]
    fn whatever_is_told_starts_the_wait_again() {
        let (_sender, moments) = unbounded_channel();
        let mut listening = Listening::new(&[], moments, |_: &StoryEvent| {});
        listening.witness(KernelTime(2), Host::Client, 0, vec![FinWait2]);
        listening.apart_since = Instant::now().checked_sub(MISSED);
        assert!(listening.missed().is_some());
        listening.take(change(FinWait1, FinWait2));
        assert_eq!(listening.missed(), None);
    }
}
