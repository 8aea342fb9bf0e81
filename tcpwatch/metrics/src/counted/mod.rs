//! Sockets by state, counted instead of listed: what was there at the start, and since then what has entered each state
//! and left it. A scrape reads maps, whatever the number of sockets; a comparison beside it finds what was missed.

mod base;
mod books;
mod flows;
mod watch;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    time::SystemTime,
};

use anyhow::Result;
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    probe::{Counts, Losses},
    source::snapshot::Scope,
};

use self::{
    books::{Books, Comparison, Shared, compare, flows},
    flows::GROUPS,
};
use crate::{collector::Collector, family::ScrapeFamily, kernel::number};

/// The first lists narrow each other down; a busy host may need more, which the comparisons add.
const FIRST_LISTS: usize = 3;

/// Sockets by state in all network namespaces, or in one.
pub struct CountedSockets {
    shared: Shared,
    covers: String,
    /// Ends the thread when it is dropped.
    _comparing: Sender<()>,
}

impl CountedSockets {
    /// Lists the sockets that there are, and starts the thread that does so again.
    ///
    /// # Errors
    /// If not even the caller's own namespace can be listed, or no thread started.
    pub fn start(
        counts: Arc<Mutex<Counts>>,
        netns: Option<Netns>,
        losses: Arc<Losses>,
    ) -> Result<Self> {
        let scope = netns.map_or(Scope::Every, Scope::Only);
        let shared = (Arc::new(Mutex::new(Books::EMPTY)), counts);
        for _ in 0..FIRST_LISTS {
            compare(&shared.0, scope, &shared.1)?;
            let books = *shared.0.lock().unwrap_or_else(PoisonError::into_inner);
            if books.bases.iter().all(|base| base.doubt() == Some(0)) {
                break;
            }
        }
        let covers = netns.map_or("All network namespaces.".to_owned(), |netns| {
            format!("Network namespace {}.", netns.0)
        });
        let comparing =
            watch::start((Arc::clone(&shared.0), Arc::clone(&shared.1)), scope, losses)?;
        Ok(Self { shared, covers, _comparing: comparing })
    }

    fn help(&self, help: &str) -> String {
        format!("{help} {}", self.covers)
    }

    fn sockets(&self, books: &Books, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let flows = flows(&self.shared.1)?;
        let mut sockets = ScrapeFamily::gauge(
            "tcpwatch_counted_sockets",
            &self.help(
                "TCP sockets by state, syn_recv including half-open connections: those listed at the \
                 start, and what has entered the state and left it since. FIN_WAIT_2 and TIME_WAIT are \
                 one number, because no hook runs when a closed socket goes from one to the other.",
            ),
        );
        let mut doubts = ScrapeFamily::gauge(
            "tcpwatch_counted_sockets_uncertainty",
            &self.help(
                "Width of the bounds within which tcpwatch_counted_sockets is known, because sockets came \
                 and went while they were listed; NaN, and only ever corrected upwards, if a namespace could not be \
                 listed or a process does not show its own.",
            ),
        );
        let mut drifts = ScrapeFamily::counter(
            "tcpwatch_counted_sockets_drift_total",
            &self.help(
                "Sockets by which tcpwatch_counted_sockets differed from a later list, and was corrected: \
                 changes that were missed, and sockets of namespaces that no list reaches.",
            ),
        );
        for ((((state, _), base), drift), flow) in
            GROUPS.into_iter().zip(books.bases).zip(books.drifts).zip(flows)
        {
            let labels = [("state", state)];
            sockets.add(&labels, number(base.sockets(flow)));
            doubts.add(&labels, base.doubt().map_or(f64::NAN, number));
            drifts.add(&labels, number(drift));
        }
        families.extend([sockets, doubts, drifts]);
        Ok(())
    }
}

impl Collector for CountedSockets {
    fn name(&self) -> &'static str {
        "counted_sockets"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let books = *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = books.last {
            families.extend(comparison(last));
        }
        self.sockets(&books, families)
    }
}

/// The cost and the reach of the last comparison.
fn comparison(last: Comparison) -> [ScrapeFamily; 3] {
    let at = "When all sockets were last listed to compare tcpwatch_counted_sockets with them, as Unix time: \
              every 5 minutes, 30 s after the start, and 30 s after the kernel skipped a hook.";
    let took = "How long that took.";
    let reach = "Network namespaces that were listed then, and those that could not be entered.";
    let unix = last.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
    [
        ScrapeFamily::gauge("tcpwatch_comparison_timestamp_seconds", at)
            .with(&[], unix.as_secs_f64()),
        ScrapeFamily::gauge("tcpwatch_comparison_duration_seconds", took)
            .with(&[], last.took.as_secs_f64()),
        ScrapeFamily::gauge("tcpwatch_comparison_network_namespaces", reach)
            .with(&[("outcome", "listed")], count(last.listed))
            .with(&[("outcome", "skipped")], count(last.skipped)),
    ]
}
