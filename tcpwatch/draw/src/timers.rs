//! Timers: a dashed line from where one was armed to where it was due, or to where something else came first.

use std::time::Duration;

use tcpwatch_core::{
    event::{Endpoints, KernelTime},
    timing::Then,
    track::TrackedEvent,
};
use tcpwatch_lab::{
    host::Host,
    story::{MomentKind, Run},
};

use crate::{
    axis::{Axis, seconds},
    shape::{HostColumns, columns},
    words::{PageWords, fill},
};

/// Shorter timers are not drawn.
const SHORT: Duration = Duration::from_millis(500);

/// A timer.
#[derive(Debug)]
pub(crate) struct DrawnTimer {
    pub(crate) x: u32,
    pub(crate) y1: u32,
    pub(crate) y2: u32,
    /// It ran until it was due.
    pub(crate) is_due: bool,
    pub(crate) title: String,
    /// When it is due, if the run ends before.
    pub(crate) beyond: Option<String>,
    /// How this is aligned.
    pub(crate) anchor: &'static str,
}

struct Armed<'a> {
    host: Host,
    ends: &'a Endpoints,
    at: KernelTime,
    due: Option<(KernelTime, &'static str)>,
}

/// The timers of a run that its events tell of.
pub(crate) fn timers(run: &Run, axis: &Axis<'_>, words: &PageWords) -> Vec<DrawnTimer> {
    let armed: Vec<Armed<'_>> = run.story.iter().filter_map(armed).collect();
    let timers = armed.iter().enumerate().filter_map(|(number, timer)| {
        let (due, what) = timer.due?;
        let next = armed.iter().skip(number + 1);
        let next = next.into_iter().find(|next| next.host == timer.host && next.ends == timer.ends);
        // What a timer brings comes a little later than it is due, and never earlier.
        let ends = next.map_or(run.ended, |next| next.at);
        let is_due = due <= ends;
        let after = due.since(timer.at);
        if after < SHORT {
            return None;
        }
        let title = format!("{what} is due after {} s", seconds(after, 3));
        let beyond = (next.is_none() && !is_due)
            .then(|| fill(words.due_at, seconds(due.since(run.started), 2)));
        let (y1, y2) = (axis.y(timer.at), axis.y(due.min(ends)));
        let HostColumns { timers: x, anchor, .. } = columns(timer.host);
        Some(DrawnTimer { x, y1, y2, is_due, title, beyond, anchor })
    });
    timers.collect()
}

fn armed(moment: &tcpwatch_lab::story::StoryEvent) -> Option<Armed<'_>> {
    let MomentKind::TrackedEvent(tracked) = &moment.what else { return None };
    let (ends, due) = match &**tracked {
        TrackedEvent::Change(change) => {
            (&change.subject.ends, change.ends_at.map(|at| (at, "the end of this state")))
        }
        TrackedEvent::Restart(restart) => {
            (&restart.subject.ends, restart.ends_at.map(|at| (at, "the end of this state")))
        }
        TrackedEvent::Retransmit(again) => {
            let due = again.next.map(|next| {
                let what = match next.then {
                    Then::Attempt => "the next attempt",
                    Then::GivesUp => "giving up",
                    Then::Either => "the next attempt, or giving up,",
                };
                (moment.at.after(next.wait.promise), what)
            });
            (&again.subject.ends, due)
        }
        _ => return None,
    };
    Some(Armed { host: moment.host, ends, at: moment.at, due })
}
