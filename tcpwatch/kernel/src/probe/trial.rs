//! The trial at the start: the hooks that have just been attached are shown one short connection of each
//! kind, in a network namespace that is neither counted nor streamed, and leave marks. It takes a few
//! milliseconds. What takes a retransmission or the end of a timer to be seen is left to `tcpwatch check`.

use std::{io, thread, time::Duration};

use aya::maps::{Array, MapData};
use tcpwatch_common::{counter::Hook, trial};
use tcpwatch_core::event::TcpState;

use super::Probes;
use crate::{
    clock,
    trial::{Ground, LoopbackSockets, NoGround, PATIENCE, ground},
};

/// The kernel may leave out a run of a program that interrupts another; not so often.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(1);

/// Something that is there to be seen at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The value of the label `feature`.
    pub word: &'static str,
    /// Its name in sentences.
    pub name: &'static str,
    /// What is done so that it happens.
    pub made: &'static str,
    hook: Hook,
    mark: u32,
}

impl Feature {
    /// All that are tried.
    pub const ALL: [Self; 7] = [
        Self::full("state_changes", "state changes", "a connection", Hook::SetState),
        Self::mini("syn_recv", "SYN_RECV", "a half-open connection", TcpState::SynRecv),
        Self::mini(
            "time_wait",
            "TIME_WAIT",
            "a connection closed on both sides",
            TcpState::TimeWait,
        ),
        Self::mini("fin_wait_2", "FIN_WAIT_2", "a client that closed and left", TcpState::FinWait2),
        Self::full("resets_sent", "resets sent", "a reset", Hook::SendReset),
        Self::full("resets_received", "resets received", "a reset", Hook::ReceiveReset),
        Self::full("errors", "errors the application sees", "a refused connect", Hook::ErrorReport),
    ];

    const fn full(word: &'static str, name: &'static str, made: &'static str, hook: Hook) -> Self {
        Self { word, name, made, hook, mark: trial::hook(hook) }
    }

    const fn mini(
        word: &'static str,
        name: &'static str,
        made: &'static str,
        state: TcpState,
    ) -> Self {
        let mark = trial::state(state.to_kernel());
        Self { word, name, made, hook: Hook::TimerStart, mark }
    }
}

/// What became of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It happened, and its hook saw it.
    Works,
    /// It happened, and its hook, attached, did not see it.
    Invisible,
    /// Its hook is not attached; the reason stands with the hook.
    Off,
    /// It did not happen, for this reason.
    Not(String),
}

/// Of the features whose hooks are wanted, each with what became of it; and what holds the network
/// namespace of the trial as long as connections are left in it.
#[derive(Debug, Default)]
pub struct Trial {
    /// Empty before the trial.
    pub features: Vec<(Feature, Tried)>,
    _kept: Option<Ground>,
}

impl Trial {
    /// Those that are known to be invisible though their hooks are attached.
    pub fn invisible(&self) -> impl Iterator<Item = Feature> {
        let invisible = self.features.iter().filter(|(_, tried)| *tried == Tried::Invisible);
        invisible.map(|(feature, _)| *feature)
    }

    /// Those that were not tried, with the one reason for all of them.
    #[must_use]
    pub fn not_tried(&self) -> Option<(Vec<Feature>, &str)> {
        let mut reason = None;
        let not = self.features.iter().filter_map(|(feature, tried)| match tried {
            Tried::Not(why) => {
                reason.get_or_insert(why.as_str());
                Some(*feature)
            }
            _ => None,
        });
        let features = not.collect();
        reason.map(|why| (features, why))
    }
}

impl Probes {
    /// Makes the trial. What it finds is in [`Probes::trial`].
    pub fn try_out(&mut self) {
        let attached = |hook| self.attached.iter().any(|attached| attached.counters == hook);
        let off = |hook| self.off.iter().any(|(off, _)| off.counters == hook);
        let wanted: Vec<_> =
            Feature::ALL.into_iter().filter(|one| attached(one.hook) || off(one.hook)).collect();
        let (to_try, off): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|feature| attached(feature.hook));
        let found = self.ground.take().map_or_else(Ground::make, Ok);
        let found = found.and_then(|ground| on(ground, &mut self.marks, &to_try));
        let not_tried = |error: NoGround| (vec![Tried::Not(error.to_string()); to_try.len()], None);
        let (found, kept) = found.unwrap_or_else(not_tried);
        let mut features: Vec<_> = to_try.into_iter().zip(found).collect();
        features.extend(off.into_iter().map(|feature| (feature, Tried::Off)));
        self.trial = Trial { features, _kept: kept };
    }
}

/// What became of `features` on this ground; which is kept if connections are left there: they would be
/// counted as soon as the namespace is like all others.
fn on(
    ground: Ground,
    marks: &mut Array<MapData, u32>,
    features: &[Feature],
) -> Result<(Vec<Tried>, Option<Ground>), NoGround> {
    let unwritten = |error| NoGround::Namespace(io::Error::other(error));
    marks.set(trial::NETNS, ground.netns.0, 0).map_err(unwritten)?;
    let done = ground.on(|| (there(marks, features), is_cleared()));
    if let Ok((found, false)) = done {
        return Ok((found, Some(ground)));
    }
    marks.set(trial::NETNS, 0, 0).map_err(unwritten)?;
    done.map(|(found, _)| (found, None))
}

fn there(marks: &Array<MapData, u32>, features: &[Feature]) -> Vec<Tried> {
    let mut done = Ok(());
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        done = connections();
        seen = features.iter().map(|feature| is_marked(marks, *feature)).collect();
        if seen.iter().all(|seen| *seen) {
            break;
        }
    }
    let found = seen.into_iter().map(|seen| match &done {
        _ if seen => Tried::Works,
        Ok(()) => Tried::Invisible,
        Err(error) => Tried::Not(format!("its connections could not be made: {error}")),
    });
    found.collect()
}

/// One of each kind; each has ended when the next begins.
fn connections() -> io::Result<()> {
    let stage = LoopbackSockets::set()?;
    stage.open()?;
    stage.refuse()?;
    stage.leave_half_open()?.end()?;
    stage.leave_in_fin_wait_2()?.end()?;
    stage.pass_time_wait()
}

fn is_marked(marks: &Array<MapData, u32>, feature: Feature) -> bool {
    marks.get(&feature.mark, 0).is_ok_and(|mark| mark != 0)
}

/// Waits until no connection is left, if need be.
fn is_cleared() -> bool {
    let end = clock::now().after(PATIENCE);
    loop {
        match ground::is_clear() {
            Ok(true) => return true,
            Ok(false) if clock::now() < end => thread::sleep(PAUSE),
            _ => return false,
        }
    }
}
