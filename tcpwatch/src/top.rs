//! `tcpwatch top`: what is now, from the running kernel or from a recording.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
    time::Duration,
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
    track::{TrackedEvent, sockets_now},
};
use tcpwatch_kernel::{
    clock,
    probe::{Filters, Tells},
    source::{
        ancestry::Ancestry,
        containers,
        snapshot::{self, SnapshotScope},
        sysctls,
    },
};
use tcpwatch_stream::{
    batch::Item,
    looks::{Looks, Pace},
    pipeline::Live,
    plan::Plan,
    replay::Replay,
};
use tcpwatch_top::{
    findings::Passes,
    screen::{AskSysctls, Explain, Origin, Screen, Theme},
    session::{self, DrawnTerminal},
    sockets::Sockets,
    timeline::Timeline,
};
use tcpwatch_view::{json_lines::JsonLines, time_of_day::TimeOfDay};

/// How often the kernel is looked at.
const LOOKS: Pace = Pace { every: Duration::from_secs(3), share: 20, longest: Duration::MAX };

use crate::{doctor, recorded, runtime, visible};

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
    plan.places = containers::resolved(plan.places)?;
    let ask: AskSysctls = Box::new(|netns| sysctls::read(netns).ok());
    let mut screen = screen(args, &plan, (clock::read(), clock::tick_rate(), ask))?;
    runtime::start()?.block_on(async {
        // First, because attaching takes a moment.
        let mut stage = DrawnTerminal::open(&mut screen)?;
        let scope = plan.filters.netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
        preview(&plan, scope, &mut screen);
        stage.draw(&mut screen)?;
        let mut live = Live::attach(&plan)?;
        screen.restore(Sockets::default());
        screen.selected = None;
        visible::say_missing(live.probes());
        session::live(stage, &mut live, Looks::new(scope, LOOKS), &mut screen).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the sockets that exist while the hooks are being attached, which begin anew with what there is then. Nothing,
/// where the places of owners decide, or where the kernel does not answer: attaching says why.
fn preview(plan: &Plan, scope: SnapshotScope, screen: &mut Screen) {
    if plan.places.asks() {
        return;
    }
    let Ok(listing) = snapshot::list(scope) else { return };
    let rows = sockets_now(&listing.waiters, &listing.sysctls, clock::tick_rate());
    for row in rows.iter().filter(|row| plan.filters.wants(row.subject.netns, &row.subject.ends)) {
        let existing = TrackedEvent::Existing(row.existing());
        if (plan.selection)(&existing) {
            screen.apply(&Item::TrackedEvent(existing));
        }
    }
    screen.pass(clock::now());
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
        complete = timeline.take(&batch);
    }
    let sysctls = replay.sysctls();
    screen.origin.sysctls = Box::new(move |netns| sysctls.get(&netns).copied());
    timeline.judge(screen.origin.passes.as_ref());
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
        // Filters of the view, as all that may change while it is watched.
        states: Vec::new(),
        direction: None,
        // Findings need what each socket has done.
        tells: Tells::Lives,
        holders: !live.no_io,
        ..filters.in_kernel()
    };
    Plan {
        selection: Box::new(move |tracked| named.want(&tracked.subject())),
        places: filters.places(),
        ring_bytes: live.buffer,
        duration: live.duration,
        record: live.recording(),
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

/// The filters that were decided before, if there are any.
fn passes(args: &TopArgs, plan: &Plan) -> Option<Passes> {
    let filters = plan.filters.clone();
    let Filters { tells, holders, netns, .. } = filters;
    // A look is one at that namespace alone.
    let all = Filters { tells, holders, netns, ..Filters::default() };
    let is_named = args.filters.comm.as_ref().is_some_and(|name| !is_word(name));
    let asks = filters != all || plan.places.asks() || is_named;
    asks.then(|| -> Passes { Box::new(move |netns, ends| filters.wants(netns, ends)) })
}

fn explanation() -> Explain {
    let mut lines = JsonLines::default();
    Box::new(move |finding, at, clock| {
        let since = finding.since.map(|since| lines.moment(since, clock));
        doctor::text::finding(finding, since.as_deref(), at)
    })
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
        passes: passes(args, plan),
        explain: explanation(),
        ancestry: if args.replay.is_some() {
            Box::new(|_, _| Ancestry::default())
        } else {
            Box::new(Ancestry::of)
        },
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
