//! `tcpwatch`: the live log, from the command line's words to a running pipeline.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Result;
use tcpwatch::{
    cli::{
        args::{
            DEFAULT_CGROUP_SERIES, FilterArgs, Format, LiveArgs, OutputArgs, TimeFormat, WebArgs,
        },
        exit,
        sandbox::SandboxArgs,
        span::SpanArgs,
    },
    glossary::wrapped,
};
use tcpwatch_core::{
    event::{KernelTime, Netns},
    sink::{Sink, Summary},
    track::TrackedEvent,
};
use tcpwatch_kernel::{
    clock,
    probe::{Counting, Filters, Probes, Tells},
    source::{containers, snapshot},
};
use tcpwatch_sandbox::SandboxNeeds;
use tcpwatch_stream::{log::Log, pipeline::Live, plan::Plan, replay::Replay};
use tcpwatch_view::{
    json_lines::JsonLines,
    terminal::{LogLayout, Naming, Terminal},
    time_of_day::TimeOfDay,
};

use crate::{
    confine, recorded, runtime,
    serve::{self, Web},
    visible,
};

pub(crate) fn run(
    filters: &FilterArgs,
    output: &OutputArgs,
    live: &LiveArgs,
    (web, sandbox): (&WebArgs, SandboxArgs),
) -> Result<ExitCode> {
    let listens = web.systemd_socket || !web.listen_address.is_empty();
    let words = (web.systemd_socket, web.listen_address.as_slice(), web.config_file.as_deref());
    let web = listens.then(|| Web::open(words)).transpose()?;
    let netns = filters.netns.as_deref().map(snapshot::resolve).transpose()?;
    let mut plan = plan(filters, output, netns);
    plan.places = containers::resolved(plan.places)?;
    plan.ring_bytes = live.buffer;
    plan.duration = live.duration;
    plan.filters.holders = !live.no_io;
    if web.is_some() {
        plan.counting = Counting::All;
    }
    if live.record.is_some() && plan.filters.tells == Tells::Happenings && filters.state.is_empty()
    {
        // Whoever plays it may ask for lives.
        plan.filters.tells = Tells::Lives;
    }
    plan.record = live.recording();
    // Whoever plays it may ask for them.
    plan.waits |= live.record.is_some();
    let runtime = runtime::start()?;
    let home = plan.filters.netns.or_else(|| snapshot::namespaces::own().ok());
    let mut sink = sink(output, clock::now(), (snapshot::name_of, home));
    // Locked and unbuffered: the log collects lines and writes them at once.
    let mut stdout = io::stdout().lock();
    let mut log = Log::new(sink.as_mut(), &mut stdout, has_summary_line(output));
    runtime.block_on(async {
        let mut live = Live::attach(&plan)?;
        live.probes().try_out();
        banner(&plan, live.probes());
        // Serves until it is dropped.
        let _serving = if let Some(web) = web {
            let serving = serve::start(web, live.probes(), (None, DEFAULT_CGROUP_SERIES), sandbox)?;
            confine::say_lost(sandbox, live.probes());
            Some(serving)
        } else {
            confine::running(sandbox, &SandboxNeeds::looking(), live.probes())?;
            None
        };
        while let Some(batch) = live.next_batch().await? {
            log.write(&batch)?;
        }
        anyhow::Ok(())
    })?;
    say_summary(log.into_summary(), sink.as_mut(), output);
    Ok(ExitCode::SUCCESS)
}

/// `tcpwatch replay`: the same road, from a file.
pub(crate) fn replay(
    (file, span): (&Path, &SpanArgs),
    filters: &FilterArgs,
    output: &OutputArgs,
    sandbox: SandboxArgs,
) -> Result<ExitCode> {
    let mut plan = plan(filters, output, recorded::netns(filters)?);
    let recording = recorded::open(file, sandbox.sandbox)?;
    let utc = output.time == TimeFormat::Utc || output.format == Format::Json;
    let times = if utc { TimeOfDay::utc() } else { TimeOfDay::local() };
    plan.span = span.on(&recording.header.clock, &times);
    // Namespaces of the same inodes may be others here and now.
    let mut sink = sink(output, recording.header.clock.kernel, (|_| None, None));
    let mut stdout = io::stdout().lock();
    let mut log = Log::new(sink.as_mut(), &mut stdout, has_summary_line(output));
    let mut replay = Replay::open(&plan, recording);
    while let Some(batch) = replay.next_batch()? {
        log.write(&batch)?;
    }
    say_summary(log.into_summary(), sink.as_mut(), output);
    Ok(ExitCode::SUCCESS)
}

fn plan(filters: &FilterArgs, output: &OutputArgs, netns: Option<Netns>) -> Plan {
    Plan {
        selection: selection(filters, output),
        places: filters.places(),
        count: output.count.map(Into::into),
        waits: output.shows_waits(),
        existing: output.existing || !filters.state.is_empty(),
        unfinished: output.lives || output.failed,
        ..Plan::of(Filters { netns, tells: output.tells(filters), ..filters.in_kernel() })
    }
}

/// JSON has the totals as its last line; with text they go to stderr.
const fn has_summary_line(output: &OutputArgs) -> bool {
    output.summary && matches!(output.format, Format::Json)
}

fn say_summary(summary: Option<Summary>, sink: &mut dyn Sink, output: &OutputArgs) {
    let Some(summary) = summary else { return };
    if (output.lives || output.failed) && summary.open > 0 {
        let open = summary.open;
        let (are, s) = if open == 1 { ("is", "") } else { ("are", "s") };
        exit::say(&format!("tcpwatch: {open} connection{s} {are} still open and not listed\n"));
    }
    if output.format == Format::Text && (output.summary || io::stderr().is_terminal()) {
        let mut text = Vec::new();
        sink.summary(&summary, &clock::read(), &mut text);
        exit::say(&String::from_utf8_lossy(&text));
    }
}

/// The questions the kernel cannot answer.
fn selection(filters: &FilterArgs, output: &OutputArgs) -> Box<dyn Fn(&TrackedEvent) -> bool> {
    let (output, filters) = (output.clone(), filters.clone());
    Box::new(move |tracked| {
        let states = &filters.state;
        output.shows(tracked)
            && (states.is_empty() || states.iter().any(|state| tracked.touches(*state)))
            && filters.want(&tracked.subject())
    })
}

/// The form of the output. Network namespaces may have names, and one of them may go without saying on a terminal.
fn sink(
    output: &OutputArgs,
    started: KernelTime,
    (naming, home): (Naming, Option<Netns>),
) -> Box<dyn Sink> {
    match output.format {
        Format::Json => Box::new(JsonLines::default()),
        Format::Text => {
            let terminal = io::stdout().is_terminal();
            let color = output.color.is_wanted(terminal);
            let size = terminal_size().filter(|_| terminal);
            let layout = LogLayout {
                color,
                time: output.time.into(),
                page: size.map(|(_, rows)| rows),
                width: match size {
                    Some(_) if output.wide => usize::MAX,
                    Some((columns, _)) => columns,
                    None => 120,
                },
                // A terminal that does not know its size does not break lines.
                cut: size.is_some() && !output.wide,
                started,
            };
            let lines = Terminal::new(layout).naming(naming);
            if !layout.cut {
                return Box::new(lines);
            }
            let lines = lines.asking(terminal_size);
            Box::new(match home {
                Some(home) => lines.home(home),
                None => lines,
            })
        }
    }
}

/// Columns and rows of the terminal that is the standard output; of one without a size, nothing.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let (columns, rows) = terminal_size::terminal_size_of(io::stdout())?;
    (columns.0 > 0).then(|| (usize::from(columns.0), usize::from(rows.0).max(10)))
}

/// Says that every change from now on is seen, and what is not.
fn banner(plan: &Plan, probes: &Probes) {
    let text = format!(
        "tcpwatch {} \u{b7} Linux {} \u{b7} {} \u{b7} {} \u{b7} Ctrl-C to stop",
        env!("CARGO_PKG_VERSION"),
        probes.facts.release,
        plan.filters,
        visible::hooks(probes),
    );
    let width = terminal_size::terminal_size_of(io::stderr()).map(|(columns, _)| columns.0);
    let width = width.filter(|columns| *columns > 0).map_or(usize::MAX, usize::from);
    exit::say(&format!("{}\n", wrapped(&text, width).join("\n")));
    visible::say_missing(probes);
    for (what, why) in probes.facts.blind_spots() {
        exit::say(&format!("tcpwatch: not seen: {what}: {why}\n"));
    }
}
