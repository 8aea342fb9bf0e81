//! One run: the hosts do a scenario's steps, the events of the hosts and of the live log are collected into a story,
//! and the story is judged.

mod control;
mod holes;
mod listening;
mod present;
mod progress;
mod words;

use std::{cell::RefCell, pin::pin, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use tcpwatch_core::timing::wheel::TickRate;
use tcpwatch_kernel::{
    clock,
    probe::{Tap, filters::FamilyFilter},
    source::sysctls,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};

use super::{
    audience::{Audience, Subscription},
    expect,
    host::Host,
    hosts::{self, LINK, World},
    scenario::{Action, Condition, DropRule, Scenario, ScenarioStep},
    story::{MomentKind, Profile, Run, StoryEvent},
};
use control::Control;
use listening::Listening;

/// The last events may be held back for some tens of milliseconds: to be put in order, or because a mini-socket's timer
/// can still be moved. On a busy machine one pause can be over before the live log was scheduled, so there are many.
const SETTLES: (u32, Duration) = (8, Duration::from_millis(10));

/// The interface index of the first run's first link; a network namespace's own interfaces are far below.
pub(super) const FIRST_INDEX: u32 = 1000;

/// Runs that take this long are not repeated afterwards: they would delay the whole suite.
const LONG: Duration = Duration::from_mins(1);

/// The second run begins this much later.
const APART: Duration = Duration::from_secs(5);

/// Added to the number of a run for a second run at the same time.
const SPARES: u32 = 10_000;

/// The maximal number of attempts at a run.
const MOST_TRIES: u32 = 3;

/// What all runs share: one kernel side, one live log.
#[derive(Clone)]
pub struct Laboratory {
    /// Drop rules and segments.
    pub tap: Rc<RefCell<Tap>>,
    /// Distributes the live log's events to the runs.
    pub audience: Audience,
    /// Ticks of the kernel per second.
    pub rate: TickRate,
    /// Permits to build hosts, which keeps the thread of all runs busy.
    pub building: Rc<Semaphore>,
}

/// A tapped link; dropping it removes the tap.
struct Link {
    tap: Rc<RefCell<Tap>>,
    index: u32,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Err(error) = self.tap.borrow_mut().detach(self.index) {
            tracing::warn!("the tap stays on a link until the laboratory ends: {error}");
        }
    }
}

impl Laboratory {
    /// Runs a scenario, and repeats it if its story has holes and it does not hold: that proves nothing. A long one is
    /// run twice at the same time, and the second run counts only if the first proves nothing. Arguments as for
    /// [`Self::run_once`].
    ///
    /// # Errors
    /// As [`Self::run_once`].
    pub async fn run(
        &self,
        scenario: &Arc<Scenario>,
        how: (Profile, FamilyFilter),
        number: u32,
        mut show: impl FnMut(&StoryEvent),
    ) -> Result<Run> {
        let mut run = if scenario.takes < LONG {
            self.run_once(scenario, how, number, &mut show).await?
        } else {
            self.run_with_a_spare(scenario, how, number, &mut show).await?
        };
        for _ in 1..MOST_TRIES {
            if proves_something(&run) {
                break;
            }
            run = in_place_of(run, self.run_once(scenario, how, number, &mut show).await?);
        }
        Ok(run)
    }

    /// Starts a second run a little later, so that timers of both do not end with the same tick.
    async fn run_with_a_spare(
        &self,
        scenario: &Arc<Scenario>,
        how: (Profile, FamilyFilter),
        number: u32,
        show: impl FnMut(&StoryEvent),
    ) -> Result<Run> {
        let mut spare = pin!(async {
            sleep(APART).await;
            self.run_once(scenario, how, SPARES + number, |_| {}).await
        });
        let mut first = pin!(self.run_once(scenario, how, number, show));
        let mut second = None;
        let run = loop {
            tokio::select! {
                biased;
                run = &mut first => break run?,
                run = &mut spare, if second.is_none() => second = Some(run?),
            }
        };
        if proves_something(&run) {
            return Ok(run);
        }
        let second = match second {
            Some(second) => second,
            None => spare.await?,
        };
        Ok(in_place_of(run, second))
    }

    /// Two hosts that are watched as long as the second returned value lives.
    async fn build(
        &self,
        scenario: &Scenario,
        family: FamilyFilter,
        number: u32,
        story: &mpsc::UnboundedSender<StoryEvent>,
    ) -> Result<(World, Vec<(Link, Subscription)>)> {
        let plan = hosts::HostsPlan {
            family,
            sysctls: &scenario.sysctls,
            ifindex_base: FIRST_INDEX + 2 * number,
            program: hosts::HostsPlan::this_program(),
        };
        let building = self.building.acquire().await?;
        let world = World::build(&plan, story.clone()).await?;
        drop(building);
        let mut watched = Vec::new();
        for host in Host::ALL {
            let machine = world.machine(host);
            let subscription = self.audience.subscribe(machine.netns(), host, story.clone());
            watched
                .push((Link { tap: Rc::clone(&self.tap), index: machine.ifindex() }, subscription));
            let mut tap = self.tap.borrow_mut();
            tap.attach(machine.netns_fd(), LINK, machine.ifindex(), machine.netns())?;
        }
        Ok((world, watched))
    }

    /// Runs a scenario. `number` is different for every run of this process; `show` gets the events in order, some tens
    /// of milliseconds later.
    ///
    /// # Errors
    /// If the hosts cannot be built or watched. A step that fails is not an error but a result of the run.
    pub async fn run_once(
        &self,
        scenario: &Arc<Scenario>,
        (profile, family): (Profile, FamilyFilter),
        number: u32,
        show: impl FnMut(&StoryEvent),
    ) -> Result<Run> {
        let (story, moments) = mpsc::unbounded_channel();
        let (mut world, _watched) = self.build(scenario, family, number, &story).await?;
        let read = |host| {
            let machine = world.machine(host);
            sysctls::read_inside(machine.netns(), &machine.netns_fd())
        };
        let sysctls = [read(Host::Client)?, read(Host::Server)?];
        let control = Control::start(self.rate)?;
        let mut running = RunInProgress {
            laboratory: self,
            lost_before: self.audience.lost(),
            missed: 0,
            listening: Listening::new(&scenario.rules, moments, show),
            scenario,
            story,
            world: &mut world,
        };
        let started = clock::now();
        let failure = running.all_steps().await.err().map(|error| format!("{error:#}"));
        let ended = clock::now();
        running.settle().await;
        let counted = self.audience.lost() - running.lost_before;
        let missed = running.missed + running.disagreements().await;
        let dropped = running.dropped()?;
        let (story, mut warnings) = running.listening.into_story();
        warnings.extend(words::idle_rules(&scenario.rules, &dropped, &story));
        let lost = counted + missed + holes::count(&story);
        let netns = Host::ALL.map(|host| world.machine(host).netns());
        // The time of the first event was taken where it happened.
        let started = story.first().map_or(started, |first| first.at);
        let mut run = Run {
            sysctls,
            rate: self.rate,
            scenario: Arc::clone(scenario),
            profile,
            family,
            started,
            ended,
            story,
            dropped,
            netns,
            lost,
            counted,
            discarded: Vec::new(),
            failure,
            verdicts: Vec::new(),
            warnings,
        };
        expect::judge(&mut run, control.worst());
        Ok(run)
    }
}

/// A run that does not hold and whose story has holes proves nothing.
fn proves_something(run: &Run) -> bool {
    run.holds() || run.lost == 0
}

/// The second run, with a warning that it replaces the first; the warning is also printed to stderr at once.
fn in_place_of(first: Run, second: Run) -> Run {
    let (name, family) = (first.scenario.name.clone(), first.family);
    let run = second.in_place_of(first);
    if let Some(warning) = run.warnings.last() {
        tracing::warn!("{name} over {family}: {warning}");
    }
    run
}

struct RunInProgress<'a, S> {
    laboratory: &'a Laboratory,
    scenario: &'a Scenario,
    world: &'a mut World,
    lost_before: u64,
    /// Changes for which a step has waited too long.
    missed: u64,
    story: mpsc::UnboundedSender<StoryEvent>,
    listening: Listening<'a, S>,
}

impl<S: FnMut(&StoryEvent)> RunInProgress<'_, S> {
    async fn all_steps(&mut self) -> Result<()> {
        for (slot, rule) in self.scenario.rules.iter().enumerate() {
            if rule.from_start {
                self.set_rule(slot, rule)?;
            }
        }
        for step in &self.scenario.steps {
            self.step(step).await.with_context(|| format!("line {}", step.line))?;
        }
        Ok(())
    }

    async fn settle(&mut self) {
        let (turns, pause) = SETTLES;
        for _ in 0..turns {
            self.listening.until(self.world, Instant::now() + pause).await;
        }
    }

    /// Number of hosts whose sockets are in other states than the live log has reported. A change may be visible
    /// shortly before it is reported.
    async fn disagreements(&mut self) -> u64 {
        if self.listening.disagreements(self.world) > 0 {
            self.settle().await;
        }
        self.listening.disagreements(self.world)
    }

    async fn step(&mut self, step: &ScenarioStep) -> Result<()> {
        if !matches!(step.action, Action::Wait { .. }) {
            self.listening.mark();
        }
        match &step.action {
            Action::Call(host, call) => {
                let call = self.world.machine_mut(*host).call(call);
                self.listening.attend(call).await?;
            }
            Action::Signal(host, signal) => {
                let signal = self.world.machine_mut(*host).signal(*signal);
                self.listening.attend(signal).await?;
            }
            Action::SetRule(slot) => {
                if let Some(rule) = self.scenario.rules.get(*slot) {
                    self.set_rule(*slot, rule)?;
                }
            }
            Action::ReleaseRule(slot) => {
                if let Some(rule) = self.scenario.rules.get(*slot) {
                    let index = self.world.machine(rule.host).ifindex();
                    self.laboratory.tap.borrow_mut().release_rule(index, *slot)?;
                    self.record(rule.host, MomentKind::RuleReleased(*slot));
                }
            }
            Action::Wait { condition, within } => self.wait(condition, *within).await?,
        }
        Ok(())
    }

    fn set_rule(&mut self, slot: usize, rule: &DropRule) -> Result<()> {
        let index = self.world.machine(rule.host).ifindex();
        self.laboratory.tap.borrow_mut().set_rule(index, slot, &rule.drops, clock::now())?;
        self.record(rule.host, MomentKind::RuleSet(slot));
        Ok(())
    }

    async fn wait(&mut self, condition: &Condition, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while !self.listening.holds(condition) {
            let in_time = self.listening.once(self.world, deadline).await;
            if let Some(missed) = self.listening.missed() {
                self.missed += 1;
                bail!("{missed}; {}", self.listening.describe());
            }
            if !in_time {
                bail!(
                    "waited {} for {}; instead, {}",
                    humantime::format_duration(within),
                    words::condition(condition, &self.scenario.rules),
                    self.listening.describe()
                );
            }
        }
        // The present state is queried before it is changed.
        self.listening.query(self.world);
        Ok(())
    }

    fn record(&self, host: Host, what: MomentKind) {
        // The receiver lives as long as `self`.
        drop(self.story.send(StoryEvent { at: clock::now(), host, what }));
    }

    fn dropped(&self) -> Result<Vec<u64>> {
        let tap = self.laboratory.tap.borrow();
        let rules = self.scenario.rules.iter().enumerate();
        rules
            .map(|(slot, rule)| Ok(tap.dropped(self.world.machine(rule.host).ifindex(), slot)?))
            .collect()
    }
}
