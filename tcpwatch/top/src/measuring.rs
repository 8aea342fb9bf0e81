//! Asks the kernel about the rows of the page, once a second at most, by their cookies (`sock_diag`): some microseconds
//! a row. In a thread beside the run: other network namespaces have to be entered.

use std::future::pending;

use tcpwatch_core::{event::Waiter, track::StayQuestion};
use tcpwatch_kernel::source::inquirer::Inquirer;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Duration, Instant},
};

use crate::{row::RowId, screen::Screen};

/// From one time to the next.
const EVERY: Duration = Duration::from_secs(1);
/// The same where another row was selected.
const SOON: Duration = Duration::from_millis(200);
/// Asking takes this fraction of the time at most.
const SHARE: u32 = 50;

type Asking = JoinHandle<(Inquirer, Vec<Waiter>)>;

/// One time after the other.
pub(crate) struct Measuring {
    inquirer: Option<Inquirer>,
    asking: Option<Asking>,
    /// What was asked last.
    asked: Vec<(RowId, StayQuestion)>,
    began: Instant,
    next_at: Instant,
}

impl Measuring {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let inquirer = Some(Inquirer::default());
        Self { inquirer, asking: None, asked: Vec::new(), began: now, next_at: now }
    }

    /// Asks, if it is time, or if another row was selected.
    pub(crate) fn go_on(&mut self, screen: &Screen) {
        let now = Instant::now();
        let was_asked = |id: RowId| self.asked.iter().any(|(asked, _)| *asked == id);
        let is_new = now >= self.began + SOON && screen.selected.is_some_and(|id| !was_asked(id));
        if self.inquirer.is_none() || !is_new && now < self.next_at {
            return;
        }
        self.asked = screen.questions();
        (self.began, self.next_at) = (now, now + EVERY);
        if self.asked.is_empty() {
            return;
        }
        let Some(mut inquirer) = self.inquirer.take_if(|inquirer| !inquirer.is_mute()) else {
            return;
        };
        let questions: Vec<_> = self.asked.iter().map(|(_, question)| *question).collect();
        self.asking = Some(spawn_blocking(move || {
            let waiters = inquirer.ask(&questions, &[]).waiters;
            (inquirer, waiters)
        }));
    }

    /// Waits for the answers. Nothing is lost if this is dropped before it returns.
    pub(crate) async fn answered(&mut self) -> Vec<(RowId, Waiter)> {
        let Some(asking) = &mut self.asking else { return pending().await };
        let answer = asking.await;
        self.asking = None;
        let took = self.began.elapsed();
        self.next_at = self.began + EVERY.max(took * SHARE);
        let Ok((inquirer, waiters)) = answer else { return Vec::new() };
        self.inquirer = Some(inquirer);
        let asked = |waiter: &Waiter| {
            let known = &waiter.known;
            let is_it = |question: &StayQuestion| match question.socket {
                Some(socket) => socket == known.socket,
                None => question.netns == known.netns && question.ends == known.ends,
            };
            self.asked.iter().find(|(_, question)| is_it(question)).map(|(id, _)| *id)
        };
        waiters.iter().filter_map(|waiter| Some((asked(waiter)?, *waiter))).collect()
    }
}
