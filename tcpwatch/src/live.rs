//! `tcpwatch`: the live log, from the command line's words to a running pipeline.

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use tcpwatch::{
    cli::{
        args::{Color, FilterArgs, Format, OutputArgs},
        exit,
    },
    event::TcpState,
    pipeline::{self, Plan},
    probe::{Facts, Probes, hooks::HOOKS},
    sink::{
        Sink,
        json_lines::JsonLines,
        terminal::{Layout, Terminal},
    },
    source::{clock, snapshot},
    track::Change,
};

pub(crate) fn run(filters: &FilterArgs, output: &OutputArgs) -> Result<ExitCode> {
    let mut in_kernel = filters.in_kernel();
    in_kernel.netns = filters.netns.as_deref().map(snapshot::resolve).transpose()?;
    let plan = Plan {
        filters: in_kernel,
        selection: selection(filters),
        ring_bytes: output.buffer,
        duration: output.duration,
        count: output.count.map(Into::into),
        summary_line: output.summary && output.format == Format::Json,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut sink = sink(output);
    // Locked and unbuffered: the pipeline collects lines and writes them at once.
    let mut stdout = io::stdout().lock();
    let banner = |probes: &Probes| banner(filters, probes);
    let summary = runtime.block_on(pipeline::run(plan, sink.as_mut(), &mut stdout, banner))?;
    if output.format == Format::Text && (output.summary || io::stderr().is_terminal()) {
        let mut text = Vec::new();
        sink.summary(&summary, &clock::read(), &mut text);
        exit::say(&String::from_utf8_lossy(&text));
    }
    Ok(ExitCode::SUCCESS)
}

/// The questions the kernel cannot answer.
fn selection(filters: &FilterArgs) -> Box<dyn Fn(&Change) -> bool> {
    let (states, pid, comm) = (filters.state.clone(), filters.pid, filters.comm.clone());
    Box::new(move |change| {
        let owner = change.process;
        let seen = |state: TcpState| states.contains(&state);
        (states.is_empty() || seen(change.from) || seen(change.to))
            && pid.is_none_or(|pid| owner.is_some_and(|owner| owner.pid == pid))
            && comm.as_ref().is_none_or(|name| {
                owner.is_some_and(|owner| owner.comm.as_bytes() == name.as_bytes())
            })
    })
}

fn sink(output: &OutputArgs) -> Box<dyn Sink> {
    match output.format {
        Format::Json => Box::new(JsonLines::default()),
        Format::Text => {
            let terminal = io::stdout().is_terminal();
            let color = match output.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => {
                    terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                }
            };
            let rows = terminal_size::terminal_size().map(|(_, height)| usize::from(height.0));
            Box::new(Terminal::new(Layout {
                color,
                time: output.time.into(),
                page: if terminal { rows.map(|rows| rows.max(10)) } else { None },
                started: clock::now(),
            }))
        }
    }
}

/// Says that every change from now on is seen.
fn banner(filters: &FilterArgs, probes: &Probes) {
    let facts = Facts::gather();
    exit::say(&format!(
        "tcpwatch {} \u{b7} Linux {} \u{b7} {} \u{b7} hooks {} of {} \u{b7} Ctrl-C to stop\n",
        env!("CARGO_PKG_VERSION"),
        facts.release,
        describe(filters),
        probes.attached.len(),
        HOOKS.len(),
    ));
}

/// The filters in a few words.
fn describe(filters: &FilterArgs) -> String {
    let typed: Vec<String> = env::args().skip(1).collect();
    let asks_nothing = filters.in_kernel() == tcpwatch::probe::Filters::default()
        && filters.netns.is_none()
        && filters.pid.is_none()
        && filters.comm.is_none();
    if asks_nothing { "every TCP socket".to_owned() } else { typed.join(" ") }
}
