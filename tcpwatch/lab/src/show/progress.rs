//! The progress of many runs: a line that is rewritten on a terminal, or a line per finished run without one, and at
//! the end a line per run.

use std::time::Duration;

use tcpwatch_core::event::KernelTime;
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_view::terminal::style;

use super::{
    TerminalLayout,
    table::{Cell, table},
    verdicts::{details, sum},
    words::seconds,
};
use crate::story::{LeftOut, Profile, Run};

/// A run that has not ended yet.
#[derive(Clone, Debug)]
struct UnfinishedRun {
    name: String,
    family: FamilyFilter,
    since: KernelTime,
    about: Option<Duration>,
}

/// The progress of many runs.
#[derive(Debug)]
pub struct RunProgress {
    layout: TerminalLayout,
    /// Whether the line can be rewritten.
    terminal: bool,
    total: usize,
    done: usize,
    failed: usize,
    running: Vec<UnfinishedRun>,
    shown: bool,
}

impl RunProgress {
    /// The progress before the first run; `terminal` is whether a line can be rewritten.
    #[must_use]
    pub const fn new(layout: TerminalLayout, terminal: bool, total: usize) -> Self {
        Self { layout, terminal, total, done: 0, failed: 0, running: Vec::new(), shown: false }
    }

    /// A run began; `about` is its expected duration, if known.
    pub fn began(
        &mut self,
        name: &str,
        family: FamilyFilter,
        at: KernelTime,
        about: Option<Duration>,
    ) {
        self.running.push(UnfinishedRun { name: name.to_owned(), family, since: at, about });
    }

    /// A run ended. Without a terminal its line is appended.
    pub fn ended(&mut self, run: &Run, out: &mut Vec<u8>) {
        let its = |running: &UnfinishedRun| {
            running.name == run.scenario.name && running.family == run.family
        };
        if let Some(place) = self.running.iter().position(its) {
            self.running.remove(place);
        }
        self.done += 1;
        self.failed += usize::from(!run.holds());
        if !self.terminal {
            let cells = row(run).map(|cell| cell.text);
            out.extend_from_slice(cells.join("  ").as_bytes());
            out.push(b'\n');
        }
    }

    /// Appends the line in place of the one before; nothing without a terminal.
    pub fn draw(&mut self, now: KernelTime, out: &mut Vec<u8>) {
        if !self.terminal {
            return;
        }
        self.shown = true;
        // One column less: some terminals wrap after a full line.
        let room = self.layout.width.saturating_sub(1);
        let text: String = self.text(now).chars().take(room).collect();
        out.extend_from_slice(b"\r\x1b[K");
        let look = if self.failed > 0 { style::FAILURE } else { style::PLAIN };
        style::paint(look, text.as_bytes(), self.layout.color, out);
    }

    /// Appends what erases the line, so that something else can be written.
    pub fn clear(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.shown) {
            out.extend_from_slice(b"\r\x1b[K");
        }
    }

    /// `32 of 84 done, 2 failed, 50 running; longest: closing v6, 4.2 of about 8 s`
    fn text(&self, now: KernelTime) -> String {
        let Self { total, done, .. } = self;
        let failed = match self.failed {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        let left = |run: &UnfinishedRun| {
            run.about.map_or(Duration::ZERO, |about| run.since.after(about).since(now))
        };
        let longest =
            self.running.iter().max_by_key(|run| (left(run), std::cmp::Reverse(run.since)));
        let longest = longest.map(|run| {
            let passed = now.since(run.since).as_millis();
            let (seconds, tenths) = (passed / 1000, passed / 100 % 10);
            let about = run.about.map(|about| format!(" of about {}", about.as_secs().max(1)));
            let (name, family) = (&run.name, family(run.family));
            format!("; longest: {name} {family}, {seconds}.{tenths}{} s", about.unwrap_or_default())
        });
        let running = self.running.len();
        format!("{done} of {total} done{failed}, {running} running{}", longest.unwrap_or_default())
    }

    /// Appends the results of all runs: a line for each, those that were not made with the reason, and the tables of
    /// those that do not hold.
    pub fn summary(&mut self, runs: &[Run], left_out: &[LeftOut], out: &mut Vec<u8>) {
        self.clear(out);
        let mut sorted: Vec<&Run> = runs.iter().collect();
        sorted.sort_by_key(|run| (&run.scenario.name, run.family == FamilyFilter::V6));
        // Without a terminal their lines have been written.
        if self.terminal {
            let rows: Vec<_> = sorted.iter().map(|run| (row(run).to_vec(), None)).collect();
            table(&rows, self.layout.columns(), self.layout.color, out);
        }
        for LeftOut { scenario, family, why } in left_out {
            let line =
                format!("-     {}  {}  not run: {why}\n", scenario.name, self::family(*family));
            style::paint(style::HIDDEN, line.as_bytes(), self.layout.color, out);
        }
        for run in sorted.iter().filter(|run| !run.holds()) {
            let name = format!("\n{} {}\n", run.scenario.name, family(run.family));
            style::paint(style::FAILURE.bold(), name.as_bytes(), self.layout.color, out);
            details(self.layout, run, out);
        }
        out.push(b'\n');
        let (text, look) = total(runs, left_out.len());
        style::paint(look.bold(), text.as_bytes(), self.layout.color, out);
        out.push(b'\n');
    }
}

/// `84 runs, 291 of 291 verdicts hold`
fn total(runs: &[Run], left_out: usize) -> (String, anstyle::Style) {
    let verdicts = || runs.iter().flat_map(|run| &run.verdicts);
    let held = verdicts().filter(|verdict| verdict.holds).count();
    let failed = runs.iter().filter(|run| !run.holds()).count();
    let not_run = if left_out > 0 { format!(", {left_out} not run") } else { String::new() };
    let (made, judged) = (runs.len(), verdicts().count());
    let text = format!("{made} runs, {held} of {judged} verdicts hold{not_run}");
    let Some(first) = runs.iter().find(|run| !run.holds()) else {
        return (text, style::SETUP);
    };
    let unit = if failed == 1 { "run" } else { "runs" };
    let family = if first.family == FamilyFilter::V6 { " -6" } else { "" };
    let profile = match first.profile {
        Profile::Quick => " --profile quick",
        Profile::Full => "",
    };
    let name = &first.scenario.word;
    let closer = format!("for details: tcpwatch lab run {name}{family}{profile}");
    (format!("{text} \u{b7} {failed} {unit} failed \u{b7} {closer}"), style::FAILURE)
}

/// Name, family, verdicts held, duration, warnings.
fn row(run: &Run) -> [Cell; 5] {
    let look = if run.holds() { style::PLAIN } else { style::FAILURE };
    let verdict = if run.holds() {
        Cell::new("pass", style::SETUP)
    } else {
        Cell::new("FAIL", style::FAILURE.bold())
    };
    let warned = match run.warnings.len() + usize::from(run.lost > 0) {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    [
        verdict,
        Cell::new(&run.scenario.name, look),
        Cell::new(family(run.family), look),
        Cell::new(format!("{}{warned}", sum(run)), look),
        Cell::new(seconds(run.ended.since(run.started), 2), style::HEADER),
    ]
}

/// The family's short name.
pub(super) const fn family(family: FamilyFilter) -> &'static str {
    match family {
        FamilyFilter::V4 => "v4",
        FamilyFilter::V6 => "v6",
    }
}
