//! For what sockets wait that stay in a state. The kernel is asked in a thread beside the run: records do not
//! wait for its answers.

use tcpwatch_core::{
    event::{KernelTime, Netns},
    order::WINDOW,
    track::{Sights, StayQuestion, TrackedEvent},
};
use tcpwatch_kernel::{
    beside::beside,
    clock,
    source::{inquirer::Inquirer, snapshot::Lookups},
};
use tokio::sync::oneshot;

use crate::{live_recording::LiveRecording, plan::Plan, questions::note_sysctls, road::Road};

/// Sockets asked about at a time.
const AT_A_TIME: usize = 64;
/// Asking takes this fraction of the time at most; other network namespaces have to be entered.
const SHARE: u32 = 5;

/// Asks, and takes in the answers.
pub(crate) struct Waits {
    stage: WaitStage,
    /// No question is asked before.
    rests_until: KernelTime,
}

enum WaitStage {
    /// It is not asked for, or the kernel does not answer.
    Off,
    Idle(Inquirer),
    Asking {
        began: KernelTime,
        answer: oneshot::Receiver<(Inquirer, Lookups)>,
    },
    /// All records before the answers have to be applied first.
    Answered(Inquirer, Lookups, KernelTime),
}

impl Waits {
    /// Looks after the sockets of a run, if its plan wants that.
    pub(crate) fn new(plan: &Plan, road: &mut Road<'_>) -> Self {
        let stage = if plan.waits {
            road.tracker.look_after_sockets();
            WaitStage::Idle(Inquirer::default())
        } else {
            WaitStage::Off
        };
        Self { stage, rests_until: KernelTime(0) }
    }

    /// When there is something to be done.
    pub(crate) fn due_at(&self, road: &Road<'_>) -> Option<KernelTime> {
        match &self.stage {
            WaitStage::Off | WaitStage::Asking { .. } => None,
            WaitStage::Idle(_) => road.tracker.looks_at().map(|at| at.max(self.rests_until)),
            WaitStage::Answered(_, _, ready) => Some(*ready),
        }
    }

    /// Waits for answers that are under way. Nothing is lost if this is dropped before it returns.
    pub(crate) async fn answered(&mut self) {
        let WaitStage::Asking { began, answer } = &mut self.stage else {
            return std::future::pending().await;
        };
        let (began, answer) = (*began, answer.await);
        let now = clock::now();
        self.rests_until = now.after(now.since(began) * SHARE);
        self.stage = match answer {
            Ok((inquirer, details)) => WaitStage::Answered(inquirer, details, now.after(WINDOW)),
            Err(error) => {
                tracing::warn!("it is not known any more for what sockets wait: {error}");
                WaitStage::Off
            }
        };
    }

    /// Does what is due when all records before `until` are applied.
    pub(crate) fn go_on(
        &mut self,
        until: KernelTime,
        road: &mut Road<'_>,
        recording: &mut LiveRecording,
    ) {
        self.take_in(until, road, recording);
        if let WaitStage::Idle(_) = self.stage
            && until >= self.rests_until
        {
            self.ask(until, road, recording);
        }
    }

    /// Takes in answers, if all records before them are applied.
    fn take_in(&mut self, until: KernelTime, road: &mut Road<'_>, recording: &mut LiveRecording) {
        self.stage = match std::mem::replace(&mut self.stage, WaitStage::Off) {
            WaitStage::Answered(inquirer, details, ready) if until >= ready => {
                for (netns, sysctls) in details.sysctls {
                    note_sysctls(netns, sysctls, road, recording);
                }
                for waiter in &details.waiters {
                    if road.still(waiter) {
                        recording.waiter(waiter);
                    }
                }
                if inquirer.is_mute() { WaitStage::Off } else { WaitStage::Idle(inquirer) }
            }
            stage => stage,
        };
    }

    /// Asks about the sockets that are due.
    fn ask(&mut self, now: KernelTime, road: &mut Road<'_>, recording: &mut LiveRecording) {
        // A replay may ask for others.
        let all = recording.is_made();
        let Road { tracker, shown, .. } = road;
        let wanted = |tracked: &TrackedEvent| all || shown.wants(tracked);
        let Sights { questions, others } = tracker.look_at_sockets(now, AT_A_TIME, wanted);
        for others in others {
            recording.others(&others);
            shown.tracked(TrackedEvent::Others(others));
        }
        if questions.is_empty() {
            return;
        }
        let mut namespaces: Vec<_> = questions.iter().map(|question| question.netns).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        self.stage = match std::mem::replace(&mut self.stage, WaitStage::Off) {
            WaitStage::Idle(inquirer) => asking(inquirer, questions, namespaces),
            stage => stage,
        };
    }

    /// Nothing is asked any more: what was answered or counted by then is shown.
    pub(crate) fn close(
        &mut self,
        until: KernelTime,
        road: &mut Road<'_>,
        recording: &mut LiveRecording,
    ) {
        self.take_in(until, road, recording);
        for others in road.tracker.counted_at_end(clock::now()) {
            recording.others(&others);
            road.shown.tracked(TrackedEvent::Others(others));
        }
    }
}

/// Asks in a thread of its own.
fn asking(
    mut inquirer: Inquirer,
    questions: Vec<StayQuestion>,
    namespaces: Vec<Netns>,
) -> WaitStage {
    let began = clock::now();
    let ask = move || {
        let details = inquirer.ask(&questions, &namespaces);
        (inquirer, details)
    };
    match beside("inquirer", ask) {
        Ok(answer) => WaitStage::Asking { began, answer },
        Err(error) => {
            tracing::warn!("it is not known for what sockets wait: no thread: {error}");
            WaitStage::Off
        }
    }
}
