//! The thread that makes the connections of the trial, in a network namespace of its own if it can have
//! one, and on the loopback link of this one if not.

use std::{
    io,
    sync::{Arc, OnceLock, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    source::snapshot::namespaces,
    trial::{Left, LoopbackSockets, NoGround, Ports, Unanswered, leave, shorten_fin_wait_2},
};

use super::features::Takes;

/// Connections of each kind that takes no time: the kernel may leave out a hook that interrupts another.
const ROUNDS: u32 = 2;
/// Until then the answer to the first SYN has come and is dropped.
const SYN_ANSWERED: Duration = Duration::from_millis(300);

/// Where the connections are made.
pub(super) struct TrialPlace {
    pub(super) netns: Netns,
    pub(super) ports: Ports,
    /// Why it is not a network namespace of its own.
    pub(super) shared: Option<NoGround>,
    /// Why FIN_WAIT_2 lasts longer there than the trial.
    pub(super) long_fin_wait_2: Option<String>,
}

/// Connections that were made, or why not.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) at: Instant,
    /// Those that need nothing but sockets.
    pub(super) all: Result<(), String>,
    /// Those whose segments get lost.
    pub(super) unanswered: Result<(), String>,
    /// More than these.
    more: Result<(), String>,
}

impl Made {
    /// Those that a feature takes.
    pub(super) const fn what(&self, takes: Takes) -> &Result<(), String> {
        match takes {
            Takes::LostSegments => &self.unanswered,
            Takes::MoreThanTrial => &self.more,
            _ => &self.all,
        }
    }

    fn new(all: Result<(), String>, unanswered: Result<(), String>) -> Self {
        let more = Err("no connection of this trial is meant to cause it".to_owned());
        Self { at: Instant::now(), all, unanswered, more }
    }

    pub(super) fn nothing(why: &str) -> Self {
        let not = Err(why.to_owned());
        Self::new(not.clone(), not)
    }
}

/// The thread, as seen from outside. Dropped, it ends its connections and itself.
pub(super) struct Actor {
    pub(super) place: TrialPlace,
    /// Closed at the end.
    orders: Option<mpsc::Sender<()>>,
    made: Arc<OnceLock<Made>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join().is_ok();
        }
    }
}

impl Actor {
    /// Starts it; it is ready to make connections.
    pub(super) fn start() -> Result<Self, NoGround> {
        match Self::at(|| leave().map(|_| None)) {
            Err(no_ground @ (NoGround::Namespace(_) | NoGround::Loopback(_))) => {
                Self::at(|| Ok(Some(no_ground)))
            }
            done => done,
        }
    }

    /// `go` goes where the connections are to be made, and says why that is no place of its own.
    fn at(
        go: impl FnOnce() -> Result<Option<NoGround>, NoGround> + Send + 'static,
    ) -> Result<Self, NoGround> {
        let (orders, ordered) = mpsc::channel();
        let made = Arc::new(OnceLock::new());
        let tell_made = Arc::clone(&made);
        let (tell_place, place) = mpsc::channel();
        let work = move || {
            let ready = go().and_then(|shared| ready(shared).map_err(NoGround::Sockets));
            let (place, stage) = match ready {
                Ok(ready) => ready,
                Err(error) => return drop(tell_place.send(Err(error))),
            };
            if tell_place.send(Ok(place)).is_ok() && ordered.recv().is_ok() {
                act(&stage, &ordered, &tell_made);
            }
        };
        let thread = thread::Builder::new().name("trial".to_owned()).spawn(work);
        let thread = Some(thread.map_err(NoGround::Thread)?);
        let ended = |_| NoGround::Thread(io::Error::other("it ended at once"));
        Ok(Self { place: place.recv().map_err(ended)??, orders: Some(orders), made, thread })
    }

    /// Makes it begin.
    pub(super) fn begin(&self) {
        let _begins = self.orders.as_ref().is_some_and(|orders| orders.send(()).is_ok());
    }

    /// What was made, as soon as that is known.
    pub(super) fn made(&self) -> Option<&Made> {
        self.made.get()
    }
}

fn ready(shared: Option<NoGround>) -> io::Result<(TrialPlace, LoopbackSockets)> {
    let stage = LoopbackSockets::set()?;
    let long_fin_wait_2 = match &shared {
        Some(_) => Some("it lasts for tcp_fin_timeout, a minute as a rule".to_owned()),
        None => shorten_fin_wait_2().err().map(|error| format!("tcp_fin_timeout: {error}")),
    };
    let place =
        TrialPlace { netns: namespaces::own()?, ports: stage.ports()?, shared, long_fin_wait_2 };
    Ok((place, stage))
}

/// Makes the connections, and ends them when nothing is ordered any more.
fn act(stage: &LoopbackSockets, orders: &mpsc::Receiver<()>, tell: &OnceLock<Made>) {
    let left = stage.open().and_then(|()| stage.leave_in_fin_wait_2());
    let unanswered = stage.send_without_answer();
    let quick = (0..ROUNDS).try_for_each(|_| quick(stage));
    let words = |error: &io::Error| format!("its connection cannot be made: {error}");
    let all = left.as_ref().map(drop).and(quick.as_ref().map(drop)).map_err(words);
    let unanswered_made = unanswered.as_ref().map(drop).map_err(words);
    let _first = tell.set(Made::new(all, unanswered_made)).is_ok();
    if orders.recv_timeout(SYN_ANSWERED) == Err(mpsc::RecvTimeoutError::Timeout) {
        let _answered = unanswered.as_ref().is_ok_and(|one| one.answer_the_next_syn().is_ok());
        let _over = orders.recv().is_ok();
    }
    let _ended = (unanswered.and_then(Unanswered::end).is_ok(), left.and_then(Left::end).is_ok());
}

/// What is seen at once.
fn quick(stage: &LoopbackSockets) -> io::Result<()> {
    stage.refuse()?;
    stage.leave_half_open()?.end()?;
    stage.leave_in_fin_wait_2()?.end()?;
    stage.pass_time_wait()
}
