//! `tcpwatch top`: what is now, from the running kernel or from a recording.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use tcpwatch::cli::{
    args::{FilterArgs, TopArgs},
    exit::NoTerminal,
};
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
    filter::LogFilter,
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
    // The sysctls of its namespaces were others.
    let ask: AskSysctls = Box::new(|_| None);
    let mut screen = screen(args, &plan, (header.clock, header.reliance.rate, ask))?;
    let mut timeline = Timeline::default();
    let mut replay = Replay::open(&plan, recording);
    let mut complete = true;
    while complete && let Some(batch) = replay.next_batch()? {
        complete = batch.items.iter().all(|item| timeline.push(item.clone()));
    }
    timeline.begin(&mut screen);
    if !complete {
        screen.message = Some("this is the beginning of the recording: filters show more of it".into());
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

fn screen(
    args: &TopArgs,
    plan: &Plan,
    (clock, rate, sysctls): (WallClock, TickRate, AskSysctls),
) -> Result<Screen> {
    let origin = Origin {
        filters: plan.filters.to_string(),
        recording: args.replay.is_some(),
        clock,
        times: if args.utc { TimeOfDay::utc() } else { TimeOfDay::local() },
        rate,
        sysctls,
        words,
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

/// The filters of the log alone, as a command line.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true, color = clap::ColorChoice::Never)]
struct Words {
    #[command(flatten)]
    filters: FilterArgs,
}

/// The words of the filter line are read by what reads the command line.
fn words(name: &str, value: Option<&str>) -> Option<Result<LogFilter, String>> {
    use clap::CommandFactory as _;
    let command = Words::command();
    let known = command.get_arguments().find(|option| match (name, option.get_long()) {
        ("4", Some("ipv4")) | ("6", Some("ipv6")) => true,
        (name, long) => long == Some(name),
    })?;
    let long = known.get_long()?;
    let takes = known.get_action().takes_values();
    // A word that happens to be called like an option asks for itself.
    let word = match (takes, value) {
        (true, Some(value)) => format!("--{long}={value}"),
        (false, None) => format!("--{long}"),
        (true, None) => return None,
        (false, Some(_)) => return Some(Err(format!("\"{name}\" stands alone"))),
    };
    Some(Words::try_parse_from([word]).map_err(|error| first_line(&error)).and_then(|words| decide(words.filters)))
}

/// What is wrong, without how a command line is written.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // "invalid value 'x' for '--port <PORTS>': "
    let rest = line.split_once(">': ").or_else(|| line.split_once("...': "));
    rest.map_or(line, |(_, rest)| rest).to_owned()
}

fn decide(filters: FilterArgs) -> Result<LogFilter, String> {
    let netns = filters.netns.as_deref().map(|word| match word.parse() {
        Ok(inode) => Ok(Netns(inode)),
        Err(_) => snapshot::resolve(word),
    });
    let netns = netns.transpose().map_err(|error| error.to_string())?;
    let kernel = Filters { netns, states: Vec::new(), ..filters.in_kernel() };
    let mut places = filters.places();
    // Of a recording, a container is known by its id only.
    places.container = places.container.map(|word| containers::resolve(&word).unwrap_or(word));
    Ok(Box::new(move |subject, state, place| {
        kernel.wants(subject.netns, &subject.ends)
            && (filters.state.is_empty() || filters.state.contains(&state))
            && filters.want(subject)
            && places.wants(place)
    }))
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::{
        event::{Endpoint, Endpoints, TcpState},
        track::Subject,
    };

    use super::*;

    fn wants(name: &str, value: Option<&str>) -> Result<bool, String> {
        let end = |port| Endpoint { address: [10, 0, 0, 7].into(), port };
        let ends = Endpoints { local: end(8080), remote: end(50_000) };
        let filter = words(name, value).unwrap_or_else(|| Err(format!("{name}: unknown")))?;
        Ok(filter(&Subject::unknown(None, Netns(7), ends), TcpState::CloseWait, None))
    }

    #[test]
    fn the_filter_line_understands_the_filters_of_the_log() {
        for (name, value, wanted) in [
            ("port", Some("8000-8080"), true),
            ("port", Some("443"), false),
            ("addr", Some("10.0.0.0/8"), true),
            ("state", Some("close-wait"), true),
            ("state", Some("established"), false),
            ("netns", Some("7"), true),
            ("4", None, true),
            ("6", None, false),
            ("accepted", None, false),
            ("pid", Some("1"), false),
        ] {
            assert_eq!(wants(name, value), Ok(wanted), "{name} {value:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_word_is_said_as_on_the_command_line() {
        for (name, value, says) in [
            ("port", Some("0"), "port 0 is no port; ports are 1 to 65535"),
            ("state", Some("closing2"), "\"closing2\" is not a TCP state"),
            ("accepted", Some("x"), "stands alone"),
        ] {
            let error = wants(name, value).unwrap_err();
            assert!(error.starts_with(says) || error.contains(says), "{error}");
        }
        assert!(words("nginx", None).is_none());
        assert!(words("comm", None).is_none(), "a bare word");
    }
}
