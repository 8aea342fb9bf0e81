//! Gauges from lists of sockets: how many are in each state, their owners, and since when the application has not
//! closed them.
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
    cgroups::CgroupNames,
    snapshot::{Detail, survey},
};

use super::{
    cgroups::{Cgroups, OwnerLabels},
    close_wait::{CloseWait, Since},
    slots::Overflow,
    states::{self, StateGauges},
};
use crate::{collector::Collector, family::ScrapeFamily};

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
    states: StateGauges,
    cgroups: Cgroups,
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
    names: Arc<Mutex<CgroupNames>>,
    owners: OwnerLabels,
    since: Since,
    waiting: Option<Dump>,
}

impl SocketGauges {
    pub(super) fn new(names: Arc<Mutex<CgroupNames>>, overflow: Overflow) -> Self {
        Self { names, owners: OwnerLabels::new(overflow), since: Since::default(), waiting: None }
    }

    /// Lists the waiting sockets again if the last list is too old.
    fn refresh(&mut self) -> Result<()> {
        let is_fresh = |dump: &Dump| dump.began.elapsed() < PAUSE.max(dump.took * SHARE);
        if self.waiting.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        self.waiting = Some(dump(&WAITING, Detail::Plain)?);
        Ok(())
    }
}

impl Collector for SocketGauges {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let live = dump(&LIVE, Detail::Plain);
        let close_wait = dump(&CLOSE_WAIT, Detail::Times);
        let refreshed = self.refresh();

        let dumps: [(&str, &[TcpState], Option<&Dump>); 3] = [
            ("live", &LIVE, live.as_ref().ok()),
            ("close_wait", &CLOSE_WAIT, close_wait.as_ref().ok()),
            ("waiting", &WAITING, self.waiting.as_ref()),
        ];
        let answered: Vec<_> = dumps
            .into_iter()
            .filter_map(|(name, states, dump)| dump.map(|dump| (name, states, dump)))
            .collect();
        costs(&answered, families);

        let tallies: Vec<_> =
            answered.iter().map(|(_, states, dump)| (*states, &dump.tally.states)).collect();
        families.push(states::family(&tallies));

        let mut cgroups = Cgroups::default();
        for (_, _, dump) in &answered {
            cgroups.add_all(&dump.tally.cgroups);
        }
        let counted: Vec<_> = answered.iter().flat_map(|(_, states, _)| *states).copied().collect();

        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        families.push(self.owners.family(&cgroups, &counted, &mut names, now));
        if let Ok(dump) = &close_wait {
            let sockets = &dump.tally.close_wait;
            let answered = dump.began + dump.took;
            families.push(self.since.family(sockets, &self.owners, &names, answered));
        }
        drop(names);

        live.map(drop).and(close_wait.map(drop)).and(refreshed)
    }
}

fn dump(states: &[TcpState], detail: Detail) -> Result<Dump> {
    let (at, began) = (SystemTime::now(), Instant::now());
    let tally = survey(states, detail, |tally: &mut SocketTally, socket| {
        tally.states.add(socket);
        tally.cgroups.add(socket);
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
fn costs(answered: &[(&str, &[TcpState], &Dump)], families: &mut Vec<ScrapeFamily>) {
    let mut took = ScrapeFamily::gauge(
        "tcpwatch_socket_dump_duration_seconds",
        "How long it took to list the sockets of this process's network namespace: those \
         at work (live), in CLOSE_WAIT, and in FIN_WAIT_2 or TIME_WAIT (waiting).",
    );
    let mut at = ScrapeFamily::gauge(
        "tcpwatch_socket_dump_timestamp_seconds",
        "When they were listed, as Unix time: waiting sockets are listed again after 5 s, or after \
         20 times what it took.",
    );
    for (name, _, dump) in answered {
        took.add(&[("dump", name)], dump.took.as_secs_f64());
        let unix = dump.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        at.add(&[("dump", name)], unix.as_secs_f64());
    }
    families.extend([took, at]);
}
