//! What goes along the road: one run's state, and the steps that `pipeline.rs` puts in order.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tcpwatch_core::{
    account::Account,
    decode::{Names, decode},
    event::{
        CgroupId, Cookie, Event, KernelTime, KnownSocket, Netns, StateEvent, TcpState, WallClock,
    },
    loss::Totals,
    order::{Order, WINDOW},
    place::{Place, Places},
    sink::{Sink, Summary},
    timing::Sysctls,
    track::{Census, News, Tracker},
};
use tcpwatch_kernel::{
    clock,
    probe::Losses,
    source::{
        cgroup_paths::CgroupPaths,
        container_names::ContainerNames,
        containers::AmbiguousContainer,
        recording::{Header, Recorder, RecordingError},
        ring::RingSource,
        snapshot::Owners,
        sysctls,
        witness::{Witness, census, look_around},
    },
};
use tokio::time::Instant;

use crate::plan::Plan;

/// Bytes of finished lines that are written out without waiting for a pause.
const FULL: usize = 1 << 16;
/// Sockets asked about at a time.
const QUESTIONS: usize = 64;

/// Later than everything.
pub(crate) const END_OF_TIME: KernelTime = KernelTime(u64::MAX);

/// One run.
pub(crate) struct Road<'a> {
    plan: &'a Plan,
    names: Names,
    recorder: Option<Recorder>,
    /// Why the recording breaks off.
    recording_failed: Option<io::Error>,
    order: Order,
    tracker: Tracker,
    /// The latest event.
    last: Option<KernelTime>,
    witness: Witness,
    /// What existed after a loss, to be compared with once all records before it are applied.
    census: Option<Census>,
    /// When to compare again, because some sockets were too young.
    looks_again_at: Option<KernelTime>,
    /// What the kernel side had lost when it was asked last.
    lost: u64,
    /// The kernel side did not filter for this run.
    filters_here: bool,
    /// Ports of listeners, by answers of a recording.
    ports: HashMap<Cookie, u16>,
    account: Account,
    cgroups: CgroupPaths,
    containers: ContainerNames,
    /// The container that is wanted, and another one that is meant as well.
    container: Option<Arc<str>>,
    ambiguous: Option<AmbiguousContainer>,
    lines: Lines<'a>,
    output: &'a mut dyn Write,
}

/// Finished lines on their way out.
struct Lines<'a> {
    plan: &'a Plan,
    sink: &'a mut dyn Sink,
    clock: WallClock,
    text: Vec<u8>,
    changes: u64,
    /// Of these, marked as inferred.
    inferred: u64,
    places: Places,
}

impl<'a> Road<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        sink: &'a mut dyn Sink,
        output: &'a mut dyn Write,
        header: &Header,
    ) -> Self {
        let text = Vec::with_capacity(2 * FULL);
        Self {
            plan,
            names: Names {
                symbols: header.symbols.clone(),
                reset_reasons: header.reset_reasons.clone(),
            },
            recorder: None,
            recording_failed: None,
            order: Order::default(),
            tracker: Tracker::new(header.reliance),
            last: None,
            witness: Witness::default(),
            census: None,
            looks_again_at: None,
            lost: 0,
            filters_here: false,
            ports: HashMap::new(),
            account: Account::new(header.clock.kernel),
            cgroups: CgroupPaths::new(),
            containers: ContainerNames::new(),
            container: None,
            ambiguous: None,
            lines: Lines {
                plan,
                sink,
                clock: header.clock,
                text,
                changes: 0,
                inferred: 0,
                places: Places::default(),
            },
            output,
        }
    }

    /// Takes a copy of everything that comes in.
    pub(crate) fn record_to(&mut self, file: Box<dyn Write>, header: &Header) {
        match Recorder::new(file, header) {
            Ok(recorder) => self.recorder = Some(recorder),
            Err(error) => self.recording_failed = Some(error),
        }
    }

    /// A recording that cannot be written ends the run, but in order.
    fn record(&mut self, write: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = write(recorder)
        {
            self.recorder = None;
            self.recording_failed = Some(error);
        }
    }

    /// From now on the filters of the kernel side are applied here.
    pub(crate) fn filter_here(&mut self) {
        self.filters_here = true;
    }

    /// Learns of the sockets that exist, as far as they are wanted.
    pub(crate) fn learn_what_exists(&mut self) {
        let filters = &self.plan.filters;
        let Some(mut snapshot) = look_around(filters, Owners::Find) else { return };
        snapshot.sockets.retain(|known| filters.wants(known.netns, &known.ends));
        snapshot.sockets.iter().filter_map(|known| known.cgroup).for_each(|id| self.locate(id));
        self.record(|recorder| recorder.known(&snapshot.sockets));
        self.begin_with(&snapshot.sockets);
    }

    /// The same from a recording, where the filters may be others.
    pub(crate) fn learn(&mut self, mut known: Vec<KnownSocket>) {
        known.retain(|known| self.plan.filters.wants(known.netns, &known.ends));
        self.begin_with(&known);
    }

    fn begin_with(&mut self, known: &[KnownSocket]) {
        self.tracker.learn(known);
        if self.plan.existing {
            self.tracker.tell_existing(known, |news| self.lines.tell(&news));
        }
    }

    /// Ring to order. Returns the moment up to which all is here that has happened: whoever took the
    /// present for it would find, with a backlog in the ring, that what explains an event never came.
    pub(crate) fn drain(&mut self, source: &mut RingSource) -> Result<KernelTime> {
        let begun = clock::now();
        let held = !self.order.is_empty() || self.tracker.settles_at().is_some();
        source.drain(held, |record| self.take(record))?;
        clock::follow(&mut self.lines.clock);
        Ok(if source.is_behind() { self.newest() } else { begun })
    }

    /// One record becomes an event.
    pub(crate) fn take(&mut self, record: &[u8]) {
        let mut decoded = decode(record, &self.names);
        if let Ok(Event::State(change)) = &mut decoded
            && change.lacks_its_port()
        {
            self.complete_port(change);
        }
        if let Ok(event) = &decoded
            && let Some(id) = event.cgroup()
        {
            self.locate(id);
        }
        self.record(|recorder| recorder.record(record));
        match decoded {
            Ok(event) => {
                self.account.received += 1;
                self.learn_rules(&event);
                self.last = self.last.max(Some(event.at()));
                self.order.push(event);
            }
            Err(_) => self.account.undecodable += 1,
        }
    }

    /// Looks up where a cgroup is, once: while it exists, and before the record that names it is in a recording.
    fn locate(&mut self, id: CgroupId) {
        if self.filters_here || self.lines.places.is_known(id) {
            return;
        }
        let path = self.cgroups.path(id, std::time::Instant::now());
        if let Some(path) = &path {
            self.record(|recorder| recorder.cgroup(id, path));
        }
        if path.is_some() || !self.cgroups.may_find_later() {
            let mut place = path.as_deref().map(Place::of);
            if let Some(container) = place.as_mut().and_then(|place| place.container.as_mut()) {
                container.name = self.containers.name(&container.id);
            }
            self.learn_place(id, place);
        }
    }

    pub(crate) fn learn_place(&mut self, id: CgroupId, place: Option<Place>) {
        let place = place.map(Arc::new);
        if let Some(place) = &place {
            self.lines.sink.place(id, place);
            self.note_container(place);
        }
        self.lines.places.learn(id, place);
    }

    /// The beginning of an id may be that of two in a recording; of those that exist at the start of a live run
    /// it was made whole.
    fn note_container(&mut self, place: &Place) {
        let wanted = &self.plan.places;
        let Some(id) = wanted.container_of(place) else { return };
        match &self.container {
            Some(known) if **known != *id => {
                self.ambiguous = Some(AmbiguousContainer {
                    word: wanted.container.clone().unwrap_or_default(),
                    containers: vec![known.to_string(), id.to_owned()],
                });
            }
            Some(_) => {}
            None => self.container = Some(id.into()),
        }
    }

    /// Finds the port of a listener that got it after it had entered LISTEN. The answer comes before the
    /// change in a recording.
    fn complete_port(&mut self, change: &mut StateEvent) {
        if self.filters_here {
            change.ends.local.port = self.ports.remove(&change.socket).unwrap_or(0);
        } else if let Some(known) = self.witness.listener(change.netns, change.socket) {
            change.ends.local.port = known.ends.local.port;
            self.record(|recorder| recorder.answer(&known));
        }
    }

    /// Whatever is sent again follows the rules of its namespace, which are asked for once.
    fn learn_rules(&mut self, event: &Event) {
        let Event::Retransmit(again) = event else { return };
        let netns = again.netns;
        if self.filters_here || self.tracker.knows_sysctls(netns) {
            return;
        }
        let sysctls = sysctls::read(netns).unwrap_or_else(|error| {
            tracing::warn!("retries in netns {} are judged by defaults: {error}", netns.0);
            Sysctls::default()
        });
        self.record(|recorder| recorder.sysctls(netns, sysctls));
        self.learn_sysctls(netns, sysctls);
    }

    pub(crate) fn learn_sysctls(&mut self, netns: Netns, sysctls: Sysctls) {
        self.tracker.learn_sysctls(netns, sysctls);
    }

    /// Order to tracker to lines, as far as `now` allows.
    /// `losses` are the kernel side's, of a live run.
    pub(crate) fn release(&mut self, now: KernelTime, losses: Option<&Losses>) -> Result<()> {
        let mut unasked = losses;
        while let Some(event) = self.order.pop(now) {
            if self.is_stranger(&event) {
                continue;
            }
            if self.tracker.relies_on_silence(&event) {
                self.look_for_losses(unasked.take())?;
            }
            self.tracker.apply(&event, |news| self.lines.tell(&news));
            if self.lines.text.len() >= FULL {
                self.write_out()?;
            }
        }
        if self.order.is_empty() {
            let until = now.before(WINDOW);
            if self.tracker.settles_alone(until) {
                self.look_for_losses(unasked)?;
            }
            self.tracker.settle(until, &mut |news| self.lines.tell(&news));
        }
        if let Some(census) = self.census.take_if(|census| now >= census.ended().after(WINDOW)) {
            self.looks_again_at = self.tracker.reconcile(&census, |news| self.lines.tell(&news));
        }
        Ok(())
    }

    /// Was anything lost since the kernel side was asked last?
    fn look_for_losses(&mut self, losses: Option<&Losses>) -> Result<()> {
        if let Some(losses) = losses {
            let now = clock::now();
            let totals = losses.read()?;
            self.note_losses(&totals, now);
        }
        Ok(())
    }

    fn note_losses(&mut self, totals: &Totals, now: KernelTime) {
        let lost = totals.lost.values().sum();
        if lost > self.lost {
            self.tracker.lost(now);
        }
        self.lost = lost;
    }

    /// When the kernel has to be asked about a socket whose timer is silent, or a comparison is due.
    pub(crate) fn asks_at(&self) -> Option<Instant> {
        let question = self.tracker.asks_at().map(|at| at.max(self.witness.rests_until()));
        let census = self.census.as_ref().map(|census| census.ended().after(WINDOW));
        let at = [question, census, self.looks_again_at].into_iter().flatten().min()?;
        Some(Instant::now() + at.since(clock::now()))
    }

    /// Asks the kernel about sockets that may have changed without a word.
    pub(crate) fn ask(&mut self) {
        let now = clock::now();
        if now >= self.witness.rests_until() {
            self.ask_about(now);
        }
    }

    /// The same for the questions that are due at `now`, as many as are asked at a time; is there any?
    fn ask_about(&mut self, now: KernelTime) -> bool {
        let questions = self.tracker.questions(now, QUESTIONS);
        if questions.is_empty() {
            return false;
        }
        let (known, unknown) = self.witness.ask(&questions);
        for known in known {
            self.record(|recorder| recorder.answer(&known));
            self.tracker.answer(&known, |news| self.lines.tell(&news));
        }
        // At the end nobody asks again.
        for question in unknown.into_iter().filter(|_| now < END_OF_TIME) {
            self.tracker.unanswered(question, now);
        }
        true
    }

    /// Takes in an answer of a recording, after everything that happened before it.
    pub(crate) fn answer(&mut self, known: &KnownSocket) -> Result<()> {
        if known.state == TcpState::Listen {
            self.ports.insert(known.socket, known.ends.local.port);
            return Ok(());
        }
        self.release(known.seen, None)?;
        self.tracker.answer(known, |news| self.lines.tell(&news));
        Ok(())
    }

    /// The time of the newest event that is held back.
    pub(crate) fn newest(&self) -> KernelTime {
        self.order.newest().unwrap_or(KernelTime(0))
    }

    /// Did the kernel side let this event pass for another filter? It lets every listener pass that has no
    /// port yet.
    fn is_stranger(&self, event: &Event) -> bool {
        let (netns, ends) = event.between();
        let listens = matches!(event, Event::State(change) if change.to == TcpState::Listen);
        (self.filters_here || listens) && !self.plan.filters.wants(netns, ends)
    }

    /// Losses become lines; after losses, sockets whose end was missed are found.
    pub(crate) fn account(&mut self, losses: &Losses, quiet: bool) -> Result<()> {
        let now = clock::now();
        let again = self.looks_again_at.is_some_and(|at| now >= at);
        if !self.account.is_due(now, quiet) && !again {
            return Ok(());
        }
        let totals = losses.read()?;
        self.note_losses(&totals, now);
        for loss in self.account.settle(totals, self.tracker.tally(), now) {
            self.lines.sink.loss(&loss, &self.lines.clock, &mut self.lines.text);
        }
        if quiet && self.census.is_none() && (self.account.take_suspicion() || again) {
            self.looks_again_at = None;
            self.census = census(&self.plan.filters);
        }
        Ok(())
    }

    /// What is in the ring when the end comes is still shown.
    pub(crate) fn finish(mut self, source: &mut RingSource, losses: &Losses) -> Result<Summary> {
        loop {
            let before = self.account.received;
            let complete = self.drain(source)?;
            self.release(complete, Some(losses))?;
            if self.account.received == before {
                break;
            }
        }
        self.release(END_OF_TIME, Some(losses))?;
        // Whatever may have changed without a word is asked about a last time.
        while self.ask_about(END_OF_TIME) {}
        self.account(losses, true)?;
        self.release(END_OF_TIME, Some(losses))?;
        self.tell_unfinished(clock::now());
        self.record(Recorder::flush);
        let recorded = self.recording_failed.take().map_or(Ok(()), Err);
        let summary = self.summarize(clock::now())?;
        recorded.map_err(|error| RecordingError::Write(error.to_string()))?;
        Ok(summary)
    }

    /// A recording that ends within a line has lost what was in it.
    pub(crate) const fn count_cut_line(&mut self) {
        self.account.undecodable += 1;
    }

    /// What a recording holds is all that was attempted.
    pub(crate) fn end_replay(mut self) -> Result<Summary> {
        if let Some(ambiguous) = self.ambiguous.take() {
            return Err(ambiguous.into());
        }
        let end = self.last.unwrap_or(self.lines.clock.kernel);
        let attempted = self.account.received + self.account.undecodable;
        let totals = Totals { attempted, ..Totals::default() };
        for loss in self.account.settle(totals, self.tracker.tally(), end) {
            self.lines.sink.loss(&loss, &self.lines.clock, &mut self.lines.text);
        }
        self.tell_unfinished(end);
        self.summarize(end)
    }

    fn tell_unfinished(&mut self, end: KernelTime) {
        if self.plan.unfinished {
            self.tracker.tell_unfinished(end, |news| self.lines.tell(&news));
        }
    }

    fn summarize(mut self, end: KernelTime) -> Result<Summary> {
        let mut summary = self.account.summary(end, self.tracker.tally());
        summary.changes = self.lines.changes;
        summary.inferred = self.lines.inferred;
        summary.out_of_order = self.order.late();
        summary.open = u64::try_from(self.tracker.open())?;
        if self.plan.summary_line {
            self.lines.sink.summary(&summary, &self.lines.clock, &mut self.lines.text);
        }
        self.write_out()?;
        Ok(summary)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.lines.is_full() || self.recording_failed.is_some() || self.ambiguous.is_some()
    }

    /// Gives finished lines, and what was recorded, to the kernel.
    pub(crate) fn write_out(&mut self) -> Result<()> {
        self.record(Recorder::flush);
        if !self.lines.text.is_empty() {
            let written = self.output.write_all(&self.lines.text);
            written.and_then(|()| self.output.flush()).context("cannot write the output")?;
            self.lines.text.clear();
        }
        Ok(())
    }
}

impl Lines<'_> {
    /// Makes a line of a piece of news, if it is to be seen and the count is not used up.
    fn tell(&mut self, news: &News) {
        if self.is_full() || !(self.plan.selection)(news) || !self.is_in_place(news) {
            return;
        }
        self.changes += 1;
        self.inferred += u64::from(news.is_inferred());
        self.sink.news(news, &self.clock, &mut self.text);
    }

    fn is_in_place(&mut self, news: &News) -> bool {
        let wanted = &self.plan.places;
        if !wanted.asks() {
            return true;
        }
        let place = news.subject().cgroup.and_then(|id| self.places.get(id));
        wanted.wants(place.map(AsRef::as_ref))
    }

    fn is_full(&self) -> bool {
        self.plan.count.is_some_and(|count| self.changes >= count)
    }
}
