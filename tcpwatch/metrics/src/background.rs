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

/// What is listed is listed again after this long,
const PERIOD: Duration = Duration::from_secs(5);
/// or after this many times what it took, if that is more.
pub(crate) const SHARE: u32 = 20;

/// What is to be done, and when.
pub(crate) struct Chores(Vec<(Instant, Chore)>);

impl Chores {
    /// Does each of them once.
    pub(crate) fn new(chores: Vec<Chore>) -> Self {
        let done = |mut chore: Chore| {
            let pause = chore();
            (Instant::now() + pause, chore)
        };
        Self(chores.into_iter().map(done).collect())
    }

    /// Does them again in a thread of its own until the returned value is dropped, and each once more at most.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(mut self) -> Result<Sender<()>> {
        let (end, ended) = mpsc::channel();
        let work = move || {
            while let Some((at, chore)) = self.0.iter_mut().min_by_key(|(at, _)| *at) {
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
        Ok(end)
    }
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
