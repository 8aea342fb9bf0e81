//! `tcpwatch top`: what is now, from the running kernel or from a recording.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{args::TopArgs, exit::NoTerminal, filter_words};
use tcpwatch_core::{
    event::{Netns, WallClock},
    timing::wheel::TickRate,
};
use tcpwatch_kernel::{
    clock,
    probe::{Counting, Filters, Tells},
    source::{containers, recording::Recording, recording_input, snapshot, sysctls},
};
use tcpwatch_stream::{pipeline::Live, plan::Plan, replay::Replay};
use tcpwatch_top::{
    screen::{AskSysctls, Origin, Screen, Theme},
    session,
    timeline::Timeline,
};
use tcpwatch_view::time_of_day::TimeOfDay;

use crate::{live, runtime, visible};

/// Shows the table until the reader ends it.
pub(crate) fn run(args: &TopArgs) -> Result<ExitCode> {
    if !io::stdout().is_terminal() {
        return Err(NoTerminal.into());
    }
    match &args.replay {
        Some(file) => replay(args, file),
        None => running(args),
    }
}

fn running(args: &TopArgs) -> Result<ExitCode> {
    let netns = args.filters.netns.as_deref().map(snapshot::resolve).transpose()?;
    let mut plan = plan(args, netns);
    if let Some(word) = &plan.places.container {
        plan.places.container = Some(containers::resolve(word)?);
    }
    let ask: AskSysctls = Box::new(|netns| sysctls::read(netns).ok());
    let mut screen = screen(args, &plan, (clock::read(), clock::tick_rate(), ask))?;
    runtime::start()?.block_on(async {
        let mut live = Live::attach(&plan)?;
        visible::say_missing(live.probes());
        session::live(&mut live, &mut screen).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn replay(args: &TopArgs, file: &Path) -> Result<ExitCode> {
    let netns = live::recorded_netns(&args.filters)?;
    let plan = plan(args, netns);
    let name = file.display();
    let input = recording_input::open(file).with_context(|| format!("cannot open {name}"))?;
    let recording = Recording::open(input).with_context(|| format!("cannot replay {name}"))?;
    let header = &recording.header;
    // They become known with the rest of it.
    let ask: AskSysctls = Box::new(|_| None);
    let mut screen = screen(args, &plan, (header.clock, header.reliance.rate, ask))?;
    let mut timeline = Timeline::default();
    let mut replay = Replay::open(&plan, recording);
    let mut complete = true;
    while complete && let Some(batch) = replay.next_batch()? {
        complete = batch.items.iter().all(|item| timeline.push(item.clone()));
    }
    let sysctls = replay.sysctls();
    screen.origin.sysctls = Box::new(move |netns| sysctls.get(&netns).copied());
    timeline.begin(&mut screen);
    if !complete {
        screen.message =
            Some("this is the beginning of the recording: filters show more of it".into());
    }
    runtime::start()?.block_on(session::replay(&mut timeline, &mut screen))?;
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &TopArgs, netns: Option<Netns>) -> Plan {
    let TopArgs { filters, live, .. } = args;
    let asks = filters.clone();
    Plan {
        filters: Filters {
            netns,
            // A view filter: a socket that leaves the state is not lost sight of.
            states: Vec::new(),
            tells: if live.record.is_some() { Tells::Lives } else { Tells::Happenings },
            holders: !live.no_io,
            ..filters.in_kernel()
        },
        selection: Box::new(move |news| asks.want(&news.subject())),
        places: filters.places(),
        ring_bytes: live.buffer,
        counting: Counting::Off,
        duration: live.duration,
        count: None,
        record: live.record.clone(),
        existing: true,
        waits: true,
        unfinished: false,
    }
}

/// The filters that were decided before, in words.
fn asked(plan: &Plan) -> String {
    let all = Filters::default().to_string();
    Some(plan.filters.to_string())
        .filter(|text| *text != all)
        .unwrap_or_else(|| "sockets".to_owned())
}

fn screen(
    args: &TopArgs,
    plan: &Plan,
    (clock, rate, sysctls): (WallClock, TickRate, AskSysctls),
) -> Result<Screen> {
    let origin = Origin {
        filters: asked(plan),
        recording: args.replay.is_some(),
        clock,
        times: if args.utc { TimeOfDay::utc() } else { TimeOfDay::local() },
        rate,
        sysctls,
        words: filter_words::read,
    };
    let theme = Theme { color: args.color.is_wanted(true), ascii: args.ascii };
    let mut screen = Screen::new(origin, theme);
    if !args.filters.state.is_empty() {
        let states: Vec<_> = args.filters.state.iter().map(ToString::to_string).collect();
        let filter = format!("state:{}", states.join(","));
        screen.filter_by(&filter).map_err(anyhow::Error::msg)?;
    }
    Ok(screen)
}
