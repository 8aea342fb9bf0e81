//! What is to be done outside of the screen.

use std::{path::PathBuf, time::Duration};

use tcpwatch_core::event::KernelTime;

use crate::keys::KeyAction;

/// What is to be done outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// End; the screen stays where it is, or not.
    Quit {
        /// It stays.
        keep: bool,
    },
    /// Stop this program.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Copy a text.
    Copy(String),
    /// Write the sockets of the view to a new file.
    Write(PathBuf),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Go to another place in the recording.
    Step(ReplayStep),
}

/// A step through a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// The next event.
    Forward,
    /// An event back.
    Backward,
    /// So much on.
    Later(Duration),
    /// So much back.
    Earlier(Duration),
    /// To this moment.
    To(KernelTime),
    /// To where the next finding begins.
    NextFinding,
    /// To where the finding before begins.
    LastFinding,
    /// Play, or stop.
    Play,
}

impl KeyAction {
    /// The step that a key means in a recording.
    pub(super) const fn step(self) -> Option<ReplayStep> {
        const FAR: Duration = Duration::from_secs(10);
        match self {
            Self::Forward => Some(ReplayStep::Forward),
            Self::Backward => Some(ReplayStep::Backward),
            Self::Later => Some(ReplayStep::Later(FAR)),
            Self::Earlier => Some(ReplayStep::Earlier(FAR)),
            Self::Pause => Some(ReplayStep::Play),
            Self::NextFinding => Some(ReplayStep::NextFinding),
            Self::LastFinding => Some(ReplayStep::LastFinding),
            _ => None,
        }
    }
}

/// How far a recording was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Events so far.
    pub event: usize,
    /// All of them.
    pub events: usize,
    /// It goes on by itself.
    pub playing: bool,
}
