//! Asks the kernel about the selected socket, once a second at most, by its cookie (`sock_diag`). In a thread beside
//! the run: another network namespace has to be entered.

use std::future::pending;

use tcpwatch_core::event::Waiter;
use tcpwatch_kernel::source::inquirer::Inquirer;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Duration, Instant},
};

use crate::{row::RowId, screen::Screen};

/// From one question to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Asking takes this fraction of the time at most.
const SHARE: u32 = 50;

/// One question after the other.
pub(crate) struct Measuring {
    inquirer: Option<Inquirer>,
    asking: Option<(RowId, JoinHandle<(Inquirer, Option<Waiter>)>)>,
    began: Instant,
    next_at: Instant,
}

impl Measuring {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { inquirer: Some(Inquirer::default()), asking: None, began: now, next_at: now }
    }

    /// Asks, if it is time, or if another row was selected.
    pub(crate) fn go_on(&mut self, screen: &Screen) {
        let now = Instant::now();
        let Some((id, question)) = screen.question() else { return };
        let is_other = screen.measured.as_ref().is_none_or(|measured| measured.id != id);
        let is_due = now >= self.next_at || is_other && now >= self.began + EVERY / 5;
        if !is_due {
            return;
        }
        let Some(mut inquirer) = self.inquirer.take_if(|inquirer| !inquirer.is_mute()) else {
            return;
        };
        self.began = now;
        let asking = spawn_blocking(move || {
            let waiter = inquirer.ask(&[question], &[]).waiters.pop();
            (inquirer, waiter)
        });
        self.asking = Some((id, asking));
    }

    /// Waits for the answer, and hands it to the screen. Nothing is lost if this is dropped before it returns.
    pub(crate) async fn answered(&mut self) -> (RowId, Option<Waiter>) {
        let Some((id, asking)) = &mut self.asking else { return pending().await };
        let (id, answer) = (*id, asking.await);
        self.asking = None;
        self.next_at = Instant::now() + EVERY.max(self.began.elapsed() * SHARE);
        let Ok((inquirer, waiter)) = answer else { return (id, None) };
        self.inquirer = Some(inquirer);
        (id, waiter)
    }
}
