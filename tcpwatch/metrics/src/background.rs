//! What takes longer the more sockets there are happens beside the scrapes, in one thread.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{collector::Collector, family::ScrapeFamily};

/// Something to do again and again: returns for how long it need not be done again.
pub(crate) type Chore = Box<dyn FnMut() -> Duration + Send>;

/// For this long the first page waits until each has been done once, so that a small host has everything on it.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is listed is listed again after this long,
const PERIOD: Duration = Duration::from_secs(5);
/// or after this many times what it took, if that is more.
pub(crate) const SHARE: u32 = 20;

/// Does these in a thread of its own until the returned value is dropped, and each once more at most.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn start(chores: Vec<Chore>) -> Result<Sender<()>> {
    let (end, ended) = mpsc::channel();
    let (first, is_done) = mpsc::channel();
    let work = move || {
        let mut due: Vec<(Instant, Chore)> = Vec::new();
        for mut chore in chores {
            let pause = chore();
            due.push((Instant::now() + pause, chore));
        }
        let _nobody_waits = first.send(());
        while let Some((at, chore)) = due.iter_mut().min_by_key(|(at, _)| *at) {
            let pause = at.saturating_duration_since(Instant::now());
            if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let pause = chore();
            *at = Instant::now() + pause;
        }
    };
    thread::Builder::new()
        .name("background".to_owned())
        .spawn(work)
        .context("are there as many threads as `ulimit -u` and pids.max of the cgroup allow?")
        .context("cannot start the thread that goes through all sockets")?;
    // If it takes longer, the pages before it lack what is not done yet.
    let _in_time = is_done.recv_timeout(PATIENCE).is_ok();
    Ok(end)
}

/// What a collector said last, and whether that was all.
type Said = Option<(Vec<ScrapeFamily>, Result<(), String>)>;

/// A collector that is asked in the background: a scrape gets what it said last.
pub(crate) struct AskedBefore {
    name: &'static str,
    said: Arc<Mutex<Said>>,
}

impl AskedBefore {
    /// The collector for the page, and what is to be done in the background.
    pub(crate) fn new(mut collector: Box<dyn Collector>) -> (Self, Chore) {
        let said = Arc::new(Mutex::new(None));
        let asked = Self { name: collector.name(), said: Arc::clone(&said) };
        let chore = move || {
            let began = Instant::now();
            let mut families = Vec::new();
            let outcome = collector.collect(&mut families).map_err(|error| format!("{error:#}"));
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some((families, outcome));
            PERIOD.max(began.elapsed() * SHARE)
        };
        (asked, Box::new(chore))
    }
}

impl Collector for AskedBefore {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((known, outcome)) = &*said else {
            return Err(anyhow!("the sockets are still being listed for the first time"));
        };
        families.extend(known.iter().cloned());
        outcome.clone().map_err(|why| anyhow!(why))
    }
}
