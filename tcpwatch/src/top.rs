//! `tcpwatch top`: what is now, from the running kernel or from a recording.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Result;
use tcpwatch::cli::{
    args::{FilterArgs, TopArgs},
    exit::NoTerminal,
    filter_words,
    sandbox::Confine,
};
use tcpwatch_core::{
    event::{Netns, WallClock},
    timing::wheel::TickRate,
};
use tcpwatch_kernel::{
    clock,
    probe::{Filters, Tells},
    source::{containers, snapshot, sysctls},
};
use tcpwatch_stream::{pipeline::Live, plan::Plan, replay::Replay};
use tcpwatch_top::{
    screen::{AskSysctls, Origin, Screen, Theme},
    session::{self, DrawnTerminal},
    timeline::Timeline,
};
use tcpwatch_view::time_of_day::TimeOfDay;

use crate::{recorded, runtime, visible};

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
        // First, because attaching takes a moment.
        let stage = DrawnTerminal::open(&mut screen)?;
        let mut live = Live::attach(&plan)?;
        visible::say_missing(live.probes());
        session::live(stage, &mut live, &mut screen).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn replay(args: &TopArgs, file: &Path) -> Result<ExitCode> {
    let netns = recorded::netns(&args.filters)?;
    let plan = plan(args, netns);
    let recording = recorded::open(file, Confine::Off)?;
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
    // What cannot be a word of the filter line decides once, by what is known when something happens.
    let name = filters.comm.clone().filter(|name| !is_word(name));
    let named = FilterArgs {
        pid: None,
        uid: None,
        comm: name,
        accepted: false,
        connected: false,
        ..filters.clone()
    };
    let filters_in_kernel = Filters {
        netns,
        // A filter of the view, as all that may change while a socket lives.
        states: Vec::new(),
        tells: if live.record.is_some() { Tells::Lives } else { Tells::Happenings },
        holders: !live.no_io,
        ..filters.in_kernel()
    };
    Plan {
        selection: Box::new(move |tracked| named.want(&tracked.subject())),
        places: filters.places(),
        ring_bytes: live.buffer,
        duration: live.duration,
        record: live.record.clone(),
        existing: true,
        waits: true,
        ..Plan::of(filters_in_kernel)
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
    let words = view_words(&args.filters);
    screen.filter_by(&words.join(" ")).map_err(anyhow::Error::msg)?;
    Ok(screen)
}

/// The filters about what may change while a socket lives, its state and its owner, as words of the filter line.
fn view_words(filters: &FilterArgs) -> Vec<String> {
    let states: Vec<_> = filters.state.iter().map(ToString::to_string).collect();
    let state = (!states.is_empty()).then(|| format!("state:{}", states.join(",")));
    let pid = filters.pid.map(|pid| format!("pid:{pid}"));
    let uid = filters.uid.map(|uid| format!("uid:{uid}"));
    let comm =
        filters.comm.as_ref().filter(|name| is_word(name)).map(|name| format!("comm:{name}"));
    let accepted = filters.accepted.then(|| "accepted".to_owned());
    let connected = filters.connected.then(|| "connected".to_owned());
    [state, pid, uid, comm, accepted, connected].into_iter().flatten().collect()
}

/// It can be written into the filter line.
fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ',')
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tcpwatch::cli::{Cli, args::Command};

    use super::*;

    #[test]
    fn what_may_change_while_a_socket_lives_is_a_filter_of_the_view() {
        let line =
            ["tcpwatch", "top", "--state", "synsent,LISTEN", "--comm", "nginx", "--accepted"];
        let Ok(Cli { command: Some(Command::Top(args)), .. }) = Cli::try_parse_from(line) else {
            panic!("it is understood")
        };
        assert_eq!(view_words(&args.filters), ["state:SYN_SENT,LISTEN", "comm:nginx", "accepted"]);
        assert!(plan(&args, None).filters.states.is_empty());
    }
}
