//! Gauges from lists of sockets: how many are in each state, their owners, the ports they use, and since when the
//! application has not closed them.
//!
//! Three lists, because their costs differ: the sockets at work, those in CLOSE_WAIT with their times, and, no more
//! often than every [`PAUSE`], those that only wait, which can be a hundred thousand.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::source::{
    local_ports::LocalPorts,
    snapshot::{Detail, survey},
};

use super::{
    close_wait::{CloseWait, Since},
    ports::{self, Destinations},
};
use crate::{collector::Collector, counted::CgroupLabels, family::ScrapeFamily};

/// States listed at every scrape.
const LIVE: [TcpState; 8] = [
    TcpState::Closed,
    TcpState::Listen,
    TcpState::SynSent,
    TcpState::SynRecv,
    TcpState::Established,
    TcpState::FinWait1,
    TcpState::Closing,
    TcpState::LastAck,
];
const CLOSE_WAIT: [TcpState; 1] = [TcpState::CloseWait];
/// States listed at longer intervals.
const WAITING: [TcpState; 2] = [TcpState::FinWait2, TcpState::TimeWait];

/// The last list of [`WAITING`] sockets is used for this long,
const PAUSE: Duration = Duration::from_secs(5);
/// or longer: for this many times the duration of the listing, if that is more.
const SHARE: u32 = 20;

/// The counts from one list.
#[derive(Clone, Debug, Default)]
struct SocketTally {
    destinations: Destinations,
    close_wait: CloseWait,
}

/// The counts and the cost of one list.
#[derive(Debug)]
struct Dump {
    tally: SocketTally,
    at: SystemTime,
    began: Instant,
    took: Duration,
}

/// Lists all sockets.
#[derive(Debug)]
pub(super) struct SocketGauges {
    owners: Arc<Mutex<CgroupLabels>>,
    since: Since,
    waiting: Option<Dump>,
}

impl SocketGauges {
    pub(super) fn new(owners: Arc<Mutex<CgroupLabels>>) -> Self {
        Self { owners, since: Since::default(), waiting: None }
    }

    /// Lists the waiting sockets again if the last list is too old.
    fn refresh(&mut self, ephemeral: Option<&LocalPorts>) -> Result<()> {
        let is_fresh = |dump: &Dump| dump.began.elapsed() < PAUSE.max(dump.took * SHARE);
        if self.waiting.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        self.waiting = Some(dump(&WAITING, Detail::Plain, ephemeral)?);
        Ok(())
    }
}

impl Collector for SocketGauges {
    fn name(&self) -> &'static str {
        "listed_sockets"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let ephemeral = LocalPorts::read();
        let ports = ephemeral.as_ref().ok();
        let live = dump(&LIVE, Detail::Plain, ports);
        let close_wait = dump(&CLOSE_WAIT, Detail::Times, ports);
        let refreshed = self.refresh(ports);

        let dumps: [(&str, Option<&Dump>); 3] = [
            ("live", live.as_ref().ok()),
            ("close_wait", close_wait.as_ref().ok()),
            ("waiting", self.waiting.as_ref()),
        ];
        let answered: Vec<_> =
            dumps.into_iter().filter_map(|(name, dump)| dump.map(|dump| (name, dump))).collect();
        costs(&answered, families);

        let mut destinations = Destinations::default();
        for (_, dump) in &answered {
            destinations.add_all(&dump.tally.destinations);
        }
        if let Some(ports) = ports {
            families.push(ports::size_family(ports));
            if answered.len() == dumps.len() {
                families.push(ports::busiest_family(&destinations));
            }
        }

        if let Ok(dump) = &close_wait {
            let sockets = &dump.tally.close_wait;
            let answered = dump.began + dump.took;
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            families.push(self.since.family(sockets, &mut owners, answered));
        }

        ephemeral
            .map(drop)
            .map_err(Into::into)
            .and(live.map(drop))
            .and(close_wait.map(drop))
            .and(refreshed)
    }
}

fn dump(states: &[TcpState], detail: Detail, ephemeral: Option<&LocalPorts>) -> Result<Dump> {
    let (at, began) = (SystemTime::now(), Instant::now());
    let tally = survey(states, detail, |tally: &mut SocketTally, socket| {
        if let Some(ephemeral) = ephemeral {
            tally.destinations.add(socket, ephemeral);
        }
        if socket.state == TcpState::CloseWait {
            tally.close_wait.add(socket);
        }
    });
    let tally = tally.with_context(|| {
        let names: Vec<_> = states.iter().map(ToString::to_string).collect();
        format!("sockets in {} are not counted", names.join(", "))
    })?;
    Ok(Dump { tally, at, began, took: began.elapsed() })
}

/// Adds the duration of the lists and their age.
fn costs(answered: &[(&str, &Dump)], families: &mut Vec<ScrapeFamily>) {
    let mut took = ScrapeFamily::gauge(
        "tcpwatch_socket_dump_duration_seconds",
        "How long it took to list the sockets of this process's network namespace: those \
         at work (live), in CLOSE_WAIT, and in FIN_WAIT_2 or TIME_WAIT (waiting).",
    );
    let mut at = ScrapeFamily::gauge(
        "tcpwatch_socket_dump_timestamp_seconds",
        "When they were listed, as Unix time: again after 5 s, or after 20 times what it took.",
    );
    for (name, dump) in answered {
        took.add(&[("dump", name)], dump.took.as_secs_f64());
        let unix = dump.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        at.add(&[("dump", name)], unix.as_secs_f64());
    }
    families.extend([took, at]);
}
