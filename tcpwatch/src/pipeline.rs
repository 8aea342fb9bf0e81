//! The whole road on one page: records out of the kernel's ring, events, news, lines.

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    account::Account,
    decode::decode,
    event::{Endpoints, KernelTime, KnownSocket, Netns, WallClock},
    probe::{Filters, Losses, Probes, Symbols},
    sink::{Sink, Summary},
    source::{
        clock,
        complaints::Complaints,
        order::{Order, WINDOW},
        recording::{Header, Item, Recorder, Recording},
        ring::RingSource,
        snapshot::{self, Answer, Lookup, Owners, Question, Scope, Snapshot},
    },
    track::{News, Reliance, Tracker},
};

/// Bytes of finished lines that are written out without waiting for a pause.
const FULL: usize = 1 << 16;
/// Sockets asked about at a time: 5 us each, every few milliseconds.
const QUESTIONS: usize = 64;

/// What to do, as the command line meant it.
pub struct Plan {
    /// What runs in the kernel.
    pub filters: Filters,
    /// What the kernel cannot decide: whose socket, and which of the changes that pass for
    /// tracking's sake are to be seen.
    pub selection: Box<dyn Fn(&News) -> bool>,
    /// Size of the ring.
    pub ring_bytes: u32,
    /// End after this long.
    pub duration: Option<Duration>,
    /// End after this many lines.
    pub count: Option<u64>,
    /// Write totals into the output.
    pub summary_line: bool,
}

/// The live log. Runs until a signal, the duration or the count ends it, or the output is closed.
/// `record` takes a copy of everything that comes in.
///
/// # Errors
/// If the kernel side cannot be attached, or the output cannot be written.
pub async fn run(
    plan: &Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    record: Option<Box<dyn Write>>,
    ready: impl FnOnce(&Probes),
) -> Result<Summary> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;

    let (mut probes, ring) = Probes::attach(&plan.filters, plan.ring_bytes)?;
    let mut source = RingSource::new(ring)?;
    let mut complaints = Complaints::new(&mut probes)?;
    let header = Header {
        version: Header::VERSION,
        clock: clock::read(),
        reliance: Reliance {
            gapless: plan.filters.states.is_empty(),
            minis: probes.symbols.is_ok(),
            rate: clock::tick_rate(),
        },
        symbols: probes.symbols.as_ref().map_or_else(|_| Symbols::default(), Clone::clone),
    };
    let mut road = Road::new(plan, sink, output, &header);
    road.recorder = record.map(|file| Recorder::new(file, &header)).transpose()?;
    // The hooks are attached already, so that nothing falls between.
    road.learn_what_exists()?;
    ready(&probes);
    let end = plan.duration.map(|duration| Instant::now() + duration);

    while !road.is_done() {
        let question = road.asks_at();
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = until(end) => break,
            waited = source.wait() => waited?,
            () = until(question) => {}
            heard = complaints.heard() => heard?,
        }
        road.drain(&mut source)?;
        road.release(clock::now())?;
        road.ask()?;
        road.account(&probes.losses, source.is_asleep())?;
        road.write_out()?;
    }
    let losses = probes.detach();
    road.finish(&mut source, &losses)
}

/// The same road, from a recording.
///
/// # Errors
/// If the recording cannot be read or the output cannot be written.
pub fn replay(
    plan: &Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    mut recording: Recording<impl BufRead>,
) -> Result<Summary> {
    let mut road = Road::new(plan, sink, output, &recording.header);
    road.tracker.learn(&recording.known);
    while let Some(item) = recording.next_item()? {
        match item {
            Item::Record(bytes) => road.take(&bytes)?,
            Item::Answer(known) => road.tracker.answer(&known, |news| road.lines.tell(&news)),
        }
        let newest = road.order.newest().unwrap_or(KernelTime(0));
        road.release(newest)?;
        if road.is_done() {
            break;
        }
    }
    road.release(END_OF_TIME)?;
    road.summarize(None)
}

/// Later than everything.
const END_OF_TIME: KernelTime = KernelTime(u64::MAX);

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

struct Road<'a> {
    plan: &'a Plan,
    symbols: Symbols,
    recorder: Option<Recorder>,
    order: Order,
    tracker: Tracker,
    lookup: Questioner,
    rests_until: KernelTime,
    account: Account,
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
}

impl<'a> Road<'a> {
    fn new(
        plan: &'a Plan,
        sink: &'a mut dyn Sink,
        output: &'a mut dyn Write,
        header: &Header,
    ) -> Self {
        let text = Vec::with_capacity(2 * FULL);
        Self {
            plan,
            symbols: header.symbols.clone(),
            recorder: None,
            order: Order::default(),
            tracker: Tracker::new(header.reliance),
            lookup: Questioner::Unused,
            rests_until: KernelTime(0),
            account: Account::new(header.clock.kernel),
            lines: Lines { plan, sink, clock: header.clock, text, changes: 0 },
            output,
        }
    }

    fn learn_what_exists(&mut self) -> Result<()> {
        let Some(mut snapshot) = look_around(&self.plan.filters, Owners::Find) else {
            return Ok(());
        };
        snapshot.sockets.retain(|known| self.plan.filters.wants(known.netns, &known.ends));
        if let Some(recorder) = &mut self.recorder {
            recorder.known(&snapshot.sockets)?;
        }
        self.tracker.learn(&snapshot.sockets);
        Ok(())
    }

    /// Ring to order.
    fn drain(&mut self, source: &mut RingSource) -> Result<()> {
        let held = !self.order.is_empty() || self.tracker.settles_at().is_some();
        let mut failed = None;
        source.drain(held, |record| {
            if let Err(error) = self.take(record) {
                failed.get_or_insert(error);
            }
        })?;
        clock::follow(&mut self.lines.clock);
        failed.map_or(Ok(()), Err)
    }

    /// One record becomes an event.
    fn take(&mut self, record: &[u8]) -> Result<()> {
        self.account.received += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record)?;
        }
        match decode(record, &self.symbols) {
            Ok(event) => self.order.push(event),
            Err(_) => self.account.undecodable += 1,
        }
        Ok(())
    }

    /// Order to tracker to lines, as far as `now` allows.
    fn release(&mut self, now: KernelTime) -> Result<()> {
        while let Some(event) = self.order.pop(now) {
            self.tracker.apply(&event, |news| self.lines.tell(&news));
            if self.lines.text.len() >= FULL {
                self.write_out()?;
            }
        }
        if self.order.is_empty() {
            let settled = KernelTime(now.0.saturating_sub(WINDOW_NS));
            self.tracker.settle(settled, &mut |news| self.lines.tell(&news));
        }
        Ok(())
    }

    /// When the kernel has to be asked about a socket whose timer is silent.
    fn asks_at(&self) -> Option<Instant> {
        let at = self.tracker.asks_at()?.max(self.rests_until);
        Some(Instant::now() + at.since(clock::now()))
    }

    /// Asks the kernel about sockets that may have changed without a word.
    fn ask(&mut self) -> Result<()> {
        let begun = clock::now();
        if begun < self.rests_until {
            return Ok(());
        }
        let questions = self.tracker.questions(begun, QUESTIONS);
        if questions.is_empty() {
            return Ok(());
        }
        let mut known = Vec::new();
        self.lookup.ask(&questions, |socket| known.push(socket));
        for socket in known {
            if let Some(recorder) = &mut self.recorder {
                recorder.answer(&socket)?;
            }
            self.tracker.answer(&socket, |news| self.lines.tell(&news));
        }
        // Other network namespaces have to be entered: asking takes a twentieth of the time at most.
        let ended = clock::now();
        self.rests_until = ended.after(ended.since(begun) * 20);
        Ok(())
    }

    /// Losses become lines; after losses, sockets whose end was missed are found.
    fn account(&mut self, losses: &Losses, quiet: bool) -> Result<()> {
        let now = clock::now();
        if !self.account.is_due(now, quiet) {
            return Ok(());
        }
        for loss in self.account.settle(losses.read()?, self.tracker.tally(), now) {
            self.lines.sink.loss(&loss, &self.lines.clock, &mut self.lines.text);
        }
        if quiet && self.account.take_suspicion() {
            self.find_missed_ends();
        }
        Ok(())
    }

    /// A socket that is in neither of two snapshots is gone; one alone can miss a socket.
    fn find_missed_ends(&mut self) {
        let filters = &self.plan.filters;
        let Some(first) = look_around(filters, Owners::Skip) else { return };
        let Some(second) = look_around(filters, Owners::Skip) else { return };
        let sockets = || first.sockets.iter().chain(&second.sockets);
        let alive: std::collections::HashSet<_> =
            sockets().map(|known| (known.netns, known.ends)).collect();
        self.tracker.reconcile(
            first.started,
            |subject| {
                let looked = [&first, &second];
                looked
                    .iter()
                    .all(|snapshot| snapshot.namespaces.contains(&subject.netns))
                    .then(|| alive.contains(&(subject.netns, subject.ends)))
            },
            |news| self.lines.tell(&news),
        );
    }

    /// What is in the ring when the end comes is still shown.
    fn finish(mut self, source: &mut RingSource, losses: &Losses) -> Result<Summary> {
        loop {
            let before = self.account.received;
            self.drain(source)?;
            if self.account.received == before {
                break;
            }
        }
        self.release(END_OF_TIME)?;
        self.account(losses, true)?;
        self.summarize(Some(losses))
    }

    fn summarize(mut self, losses: Option<&Losses>) -> Result<Summary> {
        let now = if losses.is_some() { clock::now() } else { self.lines.clock.kernel };
        let mut summary = self.account.summary(now, self.tracker.tally());
        summary.changes = self.lines.changes;
        summary.out_of_order = self.order.late();
        summary.open = u64::try_from(self.tracker.open())?;
        if self.plan.summary_line {
            self.lines.sink.summary(&summary, &self.lines.clock, &mut self.lines.text);
        }
        self.write_out()?;
        Ok(summary)
    }

    fn is_done(&self) -> bool {
        self.lines.is_full()
    }

    fn write_out(&mut self) -> io::Result<()> {
        if !self.lines.text.is_empty() {
            self.output.write_all(&self.lines.text)?;
            self.output.flush()?;
            self.lines.text.clear();
        }
        Ok(())
    }
}

const WINDOW_NS: u64 = 1_000_000;
const _: () = assert!(WINDOW.as_nanos() == 1_000_000, "the same window, as a number");

impl Lines<'_> {
    /// Makes a line of a piece of news, if it is to be seen and the count is not used up.
    fn tell(&mut self, news: &News) {
        if self.is_full() || !(self.plan.selection)(news) {
            return;
        }
        self.changes += 1;
        match news {
            News::Change(change) => self.sink.change(change, &self.clock, &mut self.text),
            News::Restart(restart) => self.sink.restart(restart, &self.clock, &mut self.text),
        }
    }

    fn is_full(&self) -> bool {
        self.plan.count.is_some_and(|count| self.changes >= count)
    }
}

/// Asks about single sockets, from the first question on.
enum Questioner {
    Unused,
    Ready(Lookup),
    /// This kernel does not answer. What is missed is put right at the end of a life.
    Mute,
}

impl Questioner {
    fn ask(&mut self, about: &[(Netns, Endpoints)], mut known: impl FnMut(KnownSocket)) {
        if let Self::Unused = self {
            *self = match Lookup::new() {
                Ok(lookup) => Self::Ready(lookup),
                Err(error) => {
                    tracing::warn!("TIME_WAIT may be told late: {error}");
                    Self::Mute
                }
            };
        }
        let Self::Ready(lookup) = self else { return };
        let questions: Vec<Question> =
            about.iter().map(|(netns, ends)| Question { netns: *netns, ends: *ends }).collect();
        lookup.ask(&questions, |_, answer| {
            if let Answer::Is(socket) = answer {
                known(socket);
            }
        });
    }
}

/// A snapshot, or a warning and nothing: the log is still true without it, only poorer.
fn look_around(filters: &Filters, owners: Owners) -> Option<Snapshot> {
    let scope = filters.netns.map_or(Scope::Every, Scope::Only);
    match snapshot::take(scope, owners) {
        Ok(snapshot) => {
            for skipped in &snapshot.skipped {
                tracing::info!("sockets that existed before are unknown in {skipped}");
            }
            Some(snapshot)
        }
        Err(error) => {
            tracing::warn!("sockets that existed before are unknown: {error}");
            None
        }
    }
}
