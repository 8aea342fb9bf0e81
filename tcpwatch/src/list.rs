//! `tcpwatch list`: the sockets that exist, once.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{
    args::{FilterArgs, Format},
    exit,
    list::ListArgs,
};
use tcpwatch_core::{
    event::{CgroupId, Netns, WallClock},
    place::Places,
    track::{SocketNow, sockets_now},
};
use tcpwatch_kernel::{
    clock,
    probe::Filters,
    source::{
        cgroup_paths::CgroupPaths,
        container_names::ContainerNames,
        containers,
        snapshot::{self, Listing, SnapshotScope},
    },
};
use tcpwatch_view::{
    json_lines::JsonLines,
    terminal::{ListTable, TableLayout},
};

use crate::live;

/// Bytes of finished lines that are written at once.
const FULL: usize = 1 << 16;

/// Lists the sockets that pass the filters.
pub(crate) fn run(args: &ListArgs) -> Result<ExitCode> {
    let netns = args.filters.netns.as_deref().map(snapshot::resolve).transpose()?;
    let mut wanted = args.filters.places();
    if let Some(word) = &wanted.container {
        wanted.container = Some(containers::resolve(word)?);
        wanted.by_name = false;
    }
    let listing = snapshot::list(netns.map_or(SnapshotScope::Every, SnapshotScope::Only))?;
    let Listing { waiters, sysctls, namespaces, mut skipped, hidden_processes } = listing;
    if namespaces.is_empty()
        && let Some(reason) = skipped.pop()
    {
        return Err(anyhow::Error::from(reason).context("cannot list sockets"));
    }
    for skipped in &skipped {
        exit::say(&format!("tcpwatch: not seen: {skipped}\n"));
    }
    say_hidden(hidden_processes);
    let clock = clock::read();
    // Listeners are needed to name the owner of connections that were not accepted.
    let mut rows = sockets_now(&waiters, &sysctls, clock::tick_rate());
    drop(waiters);
    let kernel = Filters { netns, ..args.filters.in_kernel() };
    rows.retain(|row| passes(&args.filters, &kernel, row));
    let mut places = places(&rows);
    rows.retain(|row| {
        let place = row.subject.cgroup.and_then(|id| places.get(id));
        !wanted.asks() || wanted.wants(place.map(AsRef::as_ref))
    });
    show(args, &rows, &mut places, &clock).context("cannot write the output")?;
    Ok(ExitCode::SUCCESS)
}

fn passes(filters: &FilterArgs, kernel: &Filters, row: &SocketNow) -> bool {
    kernel.wants(row.subject.netns, &row.subject.ends)
        && (filters.state.is_empty() || filters.state.contains(&row.state))
        && filters.want(&row.subject)
}

/// Without a word the list would seem to be all there is.
fn say_hidden(processes: usize) {
    if processes > 0 {
        let processes =
            if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") };
        exit::say(&format!(
            "tcpwatch: not seen: which sockets {processes} may own, and in which network namespaces they are; \
             that takes CAP_SYS_PTRACE and CAP_SYS_ADMIN (root)\n"
        ));
    }
}

/// Where the cgroups of these sockets are.
fn places(rows: &[SocketNow]) -> Places {
    let (mut paths, names) = (CgroupPaths::new(), ContainerNames::new());
    let mut places = Places::default();
    let ids: HashSet<CgroupId> = rows.iter().filter_map(|row| row.subject.cgroup).collect();
    for id in ids {
        let path = paths.path(id, Instant::now());
        places.learn(id, path.map(|path| Arc::new(names.place(&path))));
    }
    places
}

fn show(
    args: &ListArgs,
    rows: &[SocketNow],
    places: &mut Places,
    clock: &WallClock,
) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let mut text = Vec::with_capacity(2 * FULL);
    match args.format {
        Format::Json => {
            let mut lines = JsonLines::default();
            for row in rows {
                let place = row.subject.cgroup.and_then(|id| places.get(id)).cloned();
                lines.listed(row, place.as_deref(), clock, &mut text);
                if text.len() >= FULL {
                    stdout.write_all(&text)?;
                    text.clear();
                }
            }
        }
        Format::Text => {
            let name_of: fn(Netns) -> Option<String> = snapshot::name_of;
            ListTable::new(layout(args, clock), clock, name_of).write(rows, places, &mut text);
        }
    }
    stdout.write_all(&text)?;
    stdout.flush()
}

fn layout(args: &ListArgs, clock: &WallClock) -> TableLayout {
    let terminal = io::stdout().is_terminal();
    let size = live::terminal_size().filter(|_| terminal && !args.wide);
    TableLayout {
        color: args.color.is_wanted(terminal),
        time: args.time.into(),
        width: size.map(|(columns, _)| columns),
        started: clock.kernel,
    }
}
